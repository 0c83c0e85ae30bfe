#!/bin/sh
# Keeps published ports open while dockerd restarts. dockerd removes its firewall rules and adds them again. In
# between new connections are refused for some tenths of a second, with live-restore too. Meanwhile copies of the
# rules, in a chain of ours after Docker's, do the same work. Docker 29 can use nftables: what its own table drops
# while dockerd starts, no other table can accept. Connections to 127.0.0.1 go through docker-proxy and need no rule.
# Variables: work, firewall (what the running dockerd uses: iptables or nftables).
set -eu
: "${firewall:?}"
held_chain=PYINFRA-GVISOR held_table=pyinfra_gvisor_held

docker_dnat() { # ip | ip6: prints Docker's nftables rules for published ports
    if ! command -v nft > /dev/null; then return 0; fi
    nft -s list chain "$1" docker-bridges nat-prerouting-and-output 2> /dev/null | grep ' dnat to ' || true
}

hold_ports() {
    hold_iptables
    if [ "$firewall" = nftables ]; then hold_nftables; fi
}

release_ports() { # fails if a rule remains
    stays=no
    release_iptables || stays=yes
    release_nftables || stays=yes
    [ "$stays" = no ]
}

not_held() { # tool
    note "published ports could not be held open with $1 during the restart; new connections may have been refused for a moment"
}

hold_nftables() {
    if ! command -v nft > /dev/null; then not_held nft && return 0; fi
    for family in ip ip6; do
        # an existing table may have more rules than dockerd has at the moment
        if nft list table "$family" "$held_table" > /dev/null 2>&1; then continue; fi
        rules=$(docker_dnat "$family")
        if [ -z "$rules" ]; then continue; fi
        case "$family" in ip) loopback=127.0.0.0/8 ;; *) loopback=::1 ;; esac
        {
            printf 'table %s %s {\nchain held {\n%s\n}\n' "$family" "$held_table" "$rules"
            for hook in prerouting output; do
                printf 'chain %s {\ntype nat hook %s priority -99;\n' "$hook" "$hook"
                printf '%s daddr != %s fib daddr type local jump held\n}\n' "$family" "$loopback"
            done
            echo '}'
        } > "$work/held.$family"
        nft -f "$work/held.$family" || not_held nft
    done
}

release_nftables() {
    if ! command -v nft > /dev/null; then return 0; fi
    table_stays=no
    for family in ip ip6; do
        if ! nft list table "$family" "$held_table" > /dev/null 2>&1; then continue; fi
        nft delete table "$family" "$held_table" || table_stays=yes
    done
    [ "$table_stays" = no ]
}

hold_iptables() {
    for tool in iptables ip6tables; do
        if ! command -v "$tool-save" > /dev/null; then continue; fi
        rules=$("$tool-save" -t nat 2> /dev/null | sed -n "s/^-A DOCKER \(.* -j DNAT .*\)/-A $held_chain \1/p")
        if [ -z "$rules" ]; then continue; fi
        {
            printf '*nat\n:%s - [0:0]\n%s\n' "$held_chain" "$rules"
            printf -- '-A %s -m addrtype --dst-type LOCAL -j %s\n' PREROUTING "$held_chain" OUTPUT "$held_chain"
            printf 'COMMIT\n*filter\n:%s - [0:0]\n' "$held_chain"
            "$tool-save" -t filter | sed -n "s/^-A DOCKER \(.* -j ACCEPT\)/-A $held_chain \1/p"
            printf -- '-A %s -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n' "$held_chain"
            printf -- '-A FORWARD -j %s\nCOMMIT\n' "$held_chain"
        } > "$work/held.$tool"
        "$tool-restore" --noflush < "$work/held.$tool" || not_held "$tool"
    done
}

release_iptables() {
    for tool in iptables ip6tables; do
        if ! command -v "$tool-save" > /dev/null; then continue; fi
        for table in nat filter; do
            if ! "$tool" -t "$table" -S "$held_chain" > /dev/null 2>&1; then continue; fi
            "$tool-save" -t "$table" | sed -n "s/^-A \(.* -j $held_chain\)\$/-t $table -D \1/p" > "$work/release"
            while read -r rule; do
                # shellcheck disable=SC2086
                "$tool" $rule
            done < "$work/release"
            "$tool" -t "$table" -F "$held_chain" && "$tool" -t "$table" -X "$held_chain"
        done
    done
}
