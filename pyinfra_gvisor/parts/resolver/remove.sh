#!/bin/sh
# Removes the resolver from the node. Comes after parts/resolver/metrics.sh. Variables: resolver, resolver6 (its addresses).
set -eu
: "${resolver_dir:?}" "${unit:?}" "${units:?}" "${resolver:?}" "${resolver6:?}"

metrics=$(resolver_metrics)
for kind in socket service; do # the socket first: a query would start the service again
    state=$(systemctl is-active "$unit.$kind") || true # not active: systemctl(1)
    case "$state" in inactive | unknown | '') ;; *) systemctl stop "$unit.$kind" ;; esac
    if systemctl is-failed --quiet "$unit.$kind"; then systemctl reset-failed "$unit.$kind"; fi
done
remove_metrics "$metrics"
rm -f "$units/sockets.target.wants/$unit.socket" # systemctl cannot disable a unit whose file is gone
rm -rf "$resolver_dir"
rm -f "$units/$unit.socket" "$units/$unit.service" "$units/$unit.socket.new" "$units/$unit.service.new"
if [ -d "${resolver_dir%/*}" ]; then rmdir --ignore-fail-on-non-empty "${resolver_dir%/*}"; fi
systemctl daemon-reload
for address in "$resolver/32" "$resolver6/128"; do
    if [ -n "$(/usr/sbin/ip address show dev lo to "$address")" ]; then
        /usr/sbin/ip address del "$address" dev lo
    fi
done
