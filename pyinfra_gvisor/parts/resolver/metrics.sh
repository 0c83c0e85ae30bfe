#!/bin/sh
# The resolver's paths, and the path of the metrics that an installed resolver writes. Comes before others.
set -eu
resolver_dir=/opt/gvisor/resolver
unit=pyinfra-gvisor-resolver
units=/etc/systemd/system

resolver_metrics() {
    if [ ! -f "$units/$unit.service" ]; then return 0; fi
    sed -n 's|^ExecStart=.* --textfile=\(/[^ ]*/pyinfra_gvisor_resolver\.prom\).*|\1|p' "$units/$unit.service"
}

remove_metrics() { # path or nothing
    if [ -n "$1" ]; then rm -f "$1" "${1%/*}/.${1##*/}.new"; fi
}
