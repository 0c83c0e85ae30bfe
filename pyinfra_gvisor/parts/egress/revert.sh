#!/bin/sh
# Rolls back new firewall rules that no controller has confirmed: the previous rules, if any, are loaded again.
set -eu
dir=/opt/gvisor/egress
run=/run/pyinfra-gvisor-egress
mkdir -p "$run"
chmod 700 "$run" # whoever can open a lock can hold it
exec 9>> "$run/lock"
# Goes on without the lock: whoever holds it must not keep the controller locked out.
flock -w 30 9 || echo 'another process has held the lock for 30 s; rolling back without it'
if [ ! -e "$dir/candidate.nft" ]; then exit 0; fi
if [ -e "$dir/rules.nft" ]; then
    sh "$dir/load.sh" "$dir/rules.nft"
else
    if /usr/sbin/nft list table inet pyinfra_gvisor > /dev/null 2>&1; then
        /usr/sbin/nft delete table inet pyinfra_gvisor
    fi
    rm -f "$run/loaded"
fi
rm -f "$dir/candidate.nft"
echo 'no controller confirmed the new rules in time; they were rolled back'
