#!/bin/sh
# Prints the state of the watch. Read before node_state.sh.
watch_dir=/opt/gvisor/watch

watch_state() { timer_of watch "$watch_dir/watch.pl" "$watch_dir/policy"; }
