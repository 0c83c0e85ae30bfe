#!/bin/sh
# Writes wrapper scripts if runsc accepts the flags of all of them, and the node's Python the judge. Arguments: pairs of
# path and content, as packed() in base/scripts.py returns it. Variables: host, release.
set -eu
: "${host:?}" "${release:?}"
umask 022

die() {
    printf '%s\n' "gvisor.runtimes: $*" >&2
    exit 1
}

# Uses `help`: runsc answers `--version` before it checks the values of flags. `help` would create the log files
# that the flags name, so these flags are set to nothing.
check_flags() { # path, content
    runtime=${1##*/}
    runtime=${runtime%%-*}
    text=$(unpacked "$2")
    case "$text" in '#!/usr/bin/python3'*) check_judge "$text" && return 0 ;; esac
    code=0
    said=$(LC_ALL=C timeout 60 sh -c "$text" sh --log= --debug-log= help 2>&1 > /dev/null) || code=$?
    if [ "$code" = 0 ]; then return 0; fi
    said=$(printf '%s\n' "$said" | sed -n '1s/^.*FATAL ERROR: //;1p' | tr -cd '[:print:]' | cut -c1-200)
    case "$code" in
        124) die "runtime $runtime on $host: runsc $release does not answer within 60 s; check the node's load" ;;
        126 | 127) die "runtime $runtime on $host: runsc $release does not start: $said; remove its directory and run again" ;;
        *) die "runtime $runtime on $host: runsc $release refuses its flags: $said; correct gvisor_runtimes[\"$runtime\"]" ;;
    esac
}

# Asks it nothing, which has the node's Python load all of it. A judge that does not load would keep every container from
# starting.
check_judge() { # content
    if [ ! -f /usr/bin/python3 ] || [ ! -x /usr/bin/python3 ]; then die "$runtime on $host: /usr/bin/python3 is missing; install python3"; fi
    code=0
    said=$(printf '%s\n' "$1" | /usr/bin/python3 -I -S -B -X utf8 - ask 2>&1) || code=$? # an argument may not be that long
    if [ "$code" = 2 ]; then return 0; fi
    said=$(printf '%s\n' "$said" | tail -n 1 | tr -cd '[:print:]' | cut -c1-200)
    die "$runtime on $host: /usr/bin/python3 cannot load the judge: $said; reinstall python3"
}

unpacked() { printf '%s' "$1" | base64 -d | gzip -d; }

check_all() {
    while [ $# -gt 1 ]; do
        check_flags "$1" "$2"
        shift 2
    done
}

check_all "$@"
while [ $# -gt 1 ]; do
    mkdir -p "$(dirname "$1")"
    unpacked "$2" > "$1.new"
    chmod 0755 "$1.new"
    sync "$1.new"
    mv "$1.new" "$1"
    shift 2
done
