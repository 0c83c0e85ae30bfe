#!/bin/sh
# Prints what the firewall has counted, and whom it has blocked or would have. Read before audit/state.sh.

# One nft process for each: nft 1.1.3 does not find a set after another list in the same command. Not
# the whole table: with forged source addresses its other sets may have 65535 members.
egress_observed() {
    if [ ! -f /usr/sbin/nft ] || [ ! -x /usr/sbin/nft ]; then return 0; fi
    stat -c 'egress_observed loaded %Y' /run/pyinfra-gvisor-egress/loaded 2> /dev/null || true
    ip -o address 2> /dev/null | while read -r _ _ _ own _; do printf 'egress_observed own %s\n' "${own%/*}"; done
    now=$(date +%s.%N) of='inet pyinfra_gvisor'
    for what in "counters table $of" "set $of stopped4" "set $of stopped6" "set $of first4" "set $of first6"; do
        # node_state.sh reports a table that is missing or changed. Only rules that report have the last two.
        # shellcheck disable=SC2086
        listed=$(/usr/sbin/nft -j -n list $what 2> /dev/null) || return 0
        printf 'egress_observed %s %s\n' "$now" "$listed"
    done
}
