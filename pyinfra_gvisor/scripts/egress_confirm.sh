#!/bin/sh
# Confirms rules that are on probation: they stay, also over a reboot. To be run over a connection
# that was made under these rules. Arguments: path, mode and content in base64 of the files beside them.
# Read behind put_files.sh.
set -eu
dir=/opt/gvisor/egress
run=/run/pyinfra-gvisor-egress
unit=pyinfra-gvisor-egress

exec 9>> "$run/lock"
flock -w 30 9 || die "$run/lock" "somebody holds it for 30 s; the new rules are taken back"
if [ ! -e "$dir/candidate.nft" ]; then
    die "$dir/rules.nft" "the new rules were taken back before they were confirmed; raise confirm_s in gvisor_egress"
fi
put_files "$@"
systemctl daemon-reload
systemctl enable --quiet "$unit.service"
# What fails before this leaves the old rules to go back to; the timer then finds no candidate.
mv "$dir/candidate.nft" "$dir/rules.nft"
systemctl stop "$unit-revert.timer"
if [ "$(systemctl is-active "$unit.service")" = active ]; then
    systemctl reload "$unit.service" # a restart would be without rules in between
else
    systemctl start "$unit.service"
fi
