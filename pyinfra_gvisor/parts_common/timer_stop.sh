#!/bin/sh
# A part that is a timer with a service: its paths, and a function that stops it before its files change. Comes before
# others. Variables: timer_dir (the directory of its program and its policy), timer_unit (the name of its units),
# timer_metrics (the name of its metrics file).
set -eu
: "${timer_dir:?}" "${timer_unit:?}" "${timer_metrics:?}"
units=/etc/systemd/system

timer_stop() { # path of the metrics from now on: metrics at another path are removed, as nothing updates them
    for kind in timer service; do
        state=$(systemctl is-active "$timer_unit.$kind") || true # not active: systemctl(1)
        case "$state" in inactive | unknown | '') ;; *) systemctl stop "$timer_unit.$kind" ;; esac
    done
    if [ ! -f "$timer_dir/policy" ]; then return 0; fi
    metrics=$(sed -n 's/^textfile //p' "$timer_dir/policy")
    case "$metrics" in
        "$1") ;;
        */"$timer_metrics") rm -f "$metrics" "$metrics.new" ;;
    esac
}
