#!/bin/sh
# Published ports stay open while dockerd restarts. It takes its rules for them away and puts them
# back, which refuses every new connection for some tenths of a second, live-restore or not: copies
# in a chain of our own, behind Docker's, do the same work meanwhile.
# Set before: work. Connections to 127.0.0.1 go through docker-proxy, and wait for nothing.
set -eu
held_chain=PYINFRA-GVISOR

hold_ports() {
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
        "$tool-restore" --noflush < "$work/held.$tool" ||
            say "could not hold published ports open with $tool, they are refused for a moment" >&2
    done
}

release_ports() {
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
