#!/bin/sh
# Removes the watch from the node.
set -eu
: "${watch_dir:?}" "${watch_unit:?}" "${units:?}"
watch_stop ''
if [ -L "$units/timers.target.wants/$watch_unit.timer" ]; then
    systemctl disable --quiet "$watch_unit.timer"
fi
if systemctl is-failed --quiet "$watch_unit.service"; then systemctl reset-failed "$watch_unit.service"; fi
rm -rf "$watch_dir"
rm -f "$units/$watch_unit.timer" "$units/$watch_unit.service" \
    "$units/$watch_unit.timer.new" "$units/$watch_unit.service.new"
if [ -d "${watch_dir%/*}" ]; then rmdir --ignore-fail-on-non-empty "${watch_dir%/*}"; fi
systemctl daemon-reload
