#!/bin/sh
# The watch's paths, and a function that stops it before its files change. Comes before others.
set -eu
watch_dir=/opt/gvisor/watch
watch_unit=pyinfra-gvisor-watch
units=/etc/systemd/system

watch_stop() { # path of the metrics from now on: metrics at another path are removed, as nothing updates them
    for kind in timer service; do
        state=$(systemctl is-active "$watch_unit.$kind") || true # not active: systemctl(1)
        case "$state" in inactive | unknown | '') ;; *) systemctl stop "$watch_unit.$kind" ;; esac
    done
    if [ ! -f "$watch_dir/policy" ]; then return 0; fi
    metrics=$(sed -n 's/^textfile //p' "$watch_dir/policy")
    case "$metrics" in
        "$1") ;;
        */pyinfra_gvisor_watch.prom) rm -f "$metrics" "$metrics.new" ;;
    esac
}
