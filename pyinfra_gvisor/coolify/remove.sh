#!/bin/sh
# Removes from a control host what keeps the option across upgrades of Coolify. Arguments: path, mode and content
# in base64 of an entry script that does nothing. Comes after put_files.sh and coolify/compose.sh.
# Variables: unit, keep_dir, mounted_dir, keeps_mounts (yes: the running container mounts our files, or no).
set -eu
: "${host:?}" "${unit:?}" "${keep_dir:?}" "${mounted_dir:?}" "${keeps_mounts:?}"
units=/etc/systemd/system

prepare_compose
move_compose # before the files: a mounted file must exist
if [ -f "$units/$unit.timer" ]; then systemctl disable --quiet --now "$unit.timer"; fi
if systemctl is-failed --quiet "$unit.service"; then systemctl reset-failed "$unit.service"; fi
rm -f "$units/$unit.timer" "$units/$unit.service" "$units/$unit.timer.new" "$units/$unit.service.new" \
    "$units/timers.target.wants/$unit.timer" # left if the timer was removed by hand
rm -rf "$keep_dir"
if [ -d "${keep_dir%/*}" ]; then rmdir --ignore-fail-on-non-empty "${keep_dir%/*}"; fi
if [ "$keeps_mounts" = yes ]; then
    put_files "$@"
else
    rm -rf "$mounted_dir"
fi
systemctl daemon-reload
