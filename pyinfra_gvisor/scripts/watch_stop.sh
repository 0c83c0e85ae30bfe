#!/bin/sh
# The watch's paths, and how it is stopped before its files are changed. Read in front of others.
set -eu
watch_dir=/opt/gvisor/watch
watch_unit=pyinfra-gvisor-watch
units=/etc/systemd/system

watch_stop() { # the metrics that it will write; others of its would never be renewed
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
