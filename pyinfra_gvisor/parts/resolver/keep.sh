#!/bin/sh
# Checks that the resolver runs and has its address, and starts it. Comes after begin.sh. Variables: resolver_name (of
# its units), resolver_address, resolver_address6.
: "${resolver_name:?}" "${resolver_address:?}" "${resolver_address6:?}"

resolver_wrong() {
    for kind in socket service; do
        if ! systemctl is-active --quiet "$resolver_name.$kind"; then say "$resolver_name.$kind is not active"; fi
    done
    if ! systemctl is-enabled --quiet "$resolver_name.socket"; then say "$resolver_name.socket is not enabled"; fi
    if [ -z "$(/usr/sbin/ip address show dev lo to "$resolver_address/32")" ]; then
        say "lo does not have the address $resolver_address"
    fi
}

resolver_restore() {
    /usr/sbin/ip address replace "$resolver_address/32" dev lo
    /usr/sbin/ip -6 address replace "$resolver_address6/128" dev lo nodad 2> /dev/null # a node may have no IPv6
    systemctl enable --quiet "$resolver_name.socket"
    if ! systemctl is-active --quiet "$resolver_name.socket"; then
        systemctl stop "$resolver_name.service" # systemd does not start a socket whose service runs
        systemctl start "$resolver_name.socket"
    fi
    systemctl start "$resolver_name.service"
}
