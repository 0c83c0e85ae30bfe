#!/bin/sh
# Takes back rules of pyinfra-gvisor that no controller has confirmed; what was there before holds.
set -eu
dir=/opt/gvisor/egress
run=/run/pyinfra-gvisor-egress
mkdir -p "$run"
exec 9>> "$run/lock"
flock -w 30 9
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
