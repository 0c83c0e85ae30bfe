#!/bin/sh
# Adds a change to the node's list of changes, and says it to the node's journal, which stays after a removal.
# Comes before what makes the change. Variables: state_dir, and by: who makes it, as the inside of a JSON object.
set -eu
: "${state_dir:?}"
changes=$state_dir/changes

record_change() { # what. A list that cannot be written stops no change: the disk may be full
    line="{\"at\":\"$(date -u +%Y-%m-%dT%H:%M:%SZ)\",\"what\":\"$1\"${by:+,$by}}"
    # A journal that refuses the line or hangs stops no change either. Our caller may hold a lock.
    if [ -S /dev/log ]; then timeout 5 logger -t pyinfra-gvisor -- "$line" || true; fi
    add_change || printf '%s\n' "cannot write $changes" >&2
}

add_change() {
    (umask 077 && mkdir -p "$state_dir") || return 1
    { if [ -e "$changes" ]; then tail -n 99 "$changes"; fi && printf '%s\n' "$line"; } > "$changes.new" &&
        mv -f "$changes.new" "$changes" && return 0
    rm -f "$changes.new"
    return 1
}
