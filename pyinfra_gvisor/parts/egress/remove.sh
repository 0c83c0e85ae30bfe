#!/bin/sh
# Removes the firewall from the node: its table, files and unit. Comes after put_files.sh.
set -eu
dir=/opt/gvisor/egress
run=/run/pyinfra-gvisor-egress
unit=pyinfra-gvisor-egress
units=/etc/systemd/system

mkdir -p "$run"
chmod 700 "$run" # whoever can open a lock can hold it
exec 9>> "$run/lock"
flock -w 30 9 || die "$run/lock" "another process has held this lock for 30 s; nothing was removed, run again"
if [ "$(systemctl is-active "$unit-revert.timer")" = active ]; then systemctl stop "$unit-revert.timer"; fi
remove_drop_ins "$units" "$unit"
for name in "$unit-members" "$unit"; do
    if [ ! -e "$units/$name.service" ]; then continue; fi
    systemctl disable --quiet --now "$name.service"
    rm -f "$units/$name.service"
done
systemctl daemon-reload
rm -f "$units/sysinit.target.wants/$unit.service" # left if the unit was removed by hand
if systemctl is-failed --quiet "$unit.service"; then systemctl reset-failed "$unit.service"; fi
if [ -f /usr/sbin/nft ] && [ -x /usr/sbin/nft ] && /usr/sbin/nft list table inet pyinfra_gvisor > /dev/null 2>&1; then
    /usr/sbin/nft delete table inet pyinfra_gvisor
fi
rm -rf "$dir" "$run"
if [ -d "${dir%/*}" ]; then rmdir --ignore-fail-on-non-empty "${dir%/*}"; fi
