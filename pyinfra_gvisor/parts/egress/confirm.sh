#!/bin/sh
# Confirms the new firewall rules: they stay, also after a reboot. Must run over a connection that was made under
# these rules. Arguments: path, mode and packed content of the other files. Comes after put_files.sh.
set -eu
dir=/opt/gvisor/egress
run=/run/pyinfra-gvisor-egress
unit=pyinfra-gvisor-egress
follower=/etc/systemd/system/$unit-members.service

exec 9>> "$run/lock"
flock -w 30 9 || die "$run/lock" "another process has held this lock for 30 s; the new rules will be rolled back"
if [ ! -e "$dir/candidate.nft" ]; then
    die "$dir/rules.nft" "the new rules were rolled back before they were confirmed; raise confirm_s in gvisor_egress"
fi
put_files "$@"
systemctl daemon-reload
systemctl enable --quiet "$unit.service"
# If anything fails before this line, the old rules are restored. After it, the timer finds no candidate.
mv "$dir/candidate.nft" "$dir/rules.nft"
systemctl stop "$unit-revert.timer"
if [ "$(systemctl is-active "$unit.service")" = active ]; then
    systemctl reload "$unit.service" # a restart would leave a moment without rules
else
    systemctl start "$unit.service"
fi
if [ -e "$follower" ]; then
    systemctl enable --quiet "${follower##*/}"
    systemctl restart "${follower##*/}"
fi
for path in /etc/systemd/system/*.d/"$unit.conf" "$follower"; do # of rules of before, which were in force until now
    case " $* " in *" $path "*) continue ;; esac
    if [ ! -e "$path" ]; then continue; fi
    if [ "$path" = "$follower" ]; then systemctl disable --quiet --now "${path##*/}"; fi
    rm -f "$path"
    systemctl daemon-reload
done
