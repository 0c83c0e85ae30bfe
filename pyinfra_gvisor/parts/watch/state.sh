#!/bin/sh
# Prints the state of the watch. Read before node_state.sh.
watch_dir=/opt/gvisor/watch
watch_unit=/etc/systemd/system/pyinfra-gvisor-watch

watch_state() {
    timer=$watch_unit.timer
    files_of watch "$watch_dir/watch.pl" "$watch_dir/policy" "$watch_unit.service" "$timer"
    if [ -L "${timer%/*}/timers.target.wants/${timer##*/}" ]; then echo 'watch enabled yes'; fi
    if [ -f "$timer" ]; then printf 'watch timer %s\n' "$(systemctl is-active "${timer##*/}")"; fi
}
