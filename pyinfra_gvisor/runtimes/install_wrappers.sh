#!/bin/sh
# Writes wrapper scripts if runsc accepts the flags of all of them, and perl their programs. Arguments: pairs of path
# and content in base64. Variables: host, release.
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
    text=$(printf '%s' "$2" | base64 -d)
    case "$text" in *'#!/usr/bin/perl'*) check_program "$text" ;; esac
    case "$text" in '#!/bin/sh'*) ;; *) return 0 ;; esac # a program that wrappers use
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

# Only compiles it, with the node's perl. A program that perl refuses would keep every container from starting.
check_program() { # content
    if [ ! -f /usr/bin/perl ] || [ ! -x /usr/bin/perl ]; then die "$runtime on $host: /usr/bin/perl is missing; install perl-base, a package that every Debian and Ubuntu has"; fi
    code=0
    said=$(printf '%s\n' "$1" | LC_ALL=C /usr/bin/perl -c -x 2>&1) || code=$?
    if [ "$code" = 0 ]; then return 0; fi
    said=$(printf '%s\n' "$said" | sed -n 1p | tr -cd '[:print:]' | cut -c1-200)
    die "$runtime on $host: perl refuses the program: $said; reinstall perl-base"
}

check_all() {
    while [ $# -gt 1 ]; do
        check_flags "$1" "$2"
        shift 2
    done
}

check_all "$@"
while [ $# -gt 1 ]; do
    mkdir -p "$(dirname "$1")"
    printf '%s' "$2" | base64 -d > "$1.new"
    chmod 0755 "$1.new"
    sync "$1.new"
    mv "$1.new" "$1"
    shift 2
done
