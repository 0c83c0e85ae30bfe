#!/bin/sh
# What the firewall has counted and whom it has stopped. Read in front of audit_state.sh.

# Each in a process of its own: nft 1.1.3 does not find a set behind another list in one command. Not
# the whole table: who forges addresses has up to 65535 of them in its other sets.
egress_observed() {
    if [ ! -x /usr/sbin/nft ]; then return 0; fi
    now=$(date +%s.%N)
    for what in 'counters table inet pyinfra_gvisor' 'set inet pyinfra_gvisor stopped4' 'set inet pyinfra_gvisor stopped6'; do
        # A table that is gone or another one, node_state.sh tells.
        # shellcheck disable=SC2086
        listed=$(/usr/sbin/nft -j -n list $what 2> /dev/null) || return 0
        printf 'egress_observed %s %s\n' "$now" "$listed"
    done
}
