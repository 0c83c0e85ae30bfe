#!/bin/sh
# Takes back rules of pyinfra-gvisor that no controller has confirmed; what was there before holds.
set -eu
dir=/opt/gvisor/egress
run=/run/pyinfra-gvisor-egress
mkdir -p "$run"
chmod 700 "$run" # whoever can open a lock can hold it
exec 9>> "$run/lock"
# Nobody is to keep a controller locked out by holding on to it.
flock -w 30 9 || echo 'somebody holds the lock for 30 s; it goes on without'
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
echo 'nobody came back to confirm the new rules; they were taken back'
