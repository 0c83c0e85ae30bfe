#!/bin/sh
# Whole files of ours, each there at once and root's, and how a script ends that can't go on. Read in front of others.
# Set before: operation and host, which what is said begins with.
set -eu
: "${operation:?}" "${host:?}"
umask 022

die() { # what-it-is-about why
    printf '%s\n' "$operation: $1 on $host: $2" >&2
    exit 1
}

put_files() { # path, mode and content in base64 of each
    while [ $# -gt 2 ]; do
        mkdir -p "$(dirname "$1")"
        rm -f "$1.new"
        printf '%s' "$3" | base64 -d > "$1.new"
        chmod "$2" "$1.new"
        chown 0:0 "$1.new"
        sync "$1.new"
        mv "$1.new" "$1"
        shift 3
    done
}
