#!/bin/sh
# Functions that write our files, whole and owned by root, and that end a script with an error. Comes before others.
# Variables: operation and host, with which every message begins.
set -eu
: "${operation:?}" "${host:?}"
umask 022

die() { # subject, reason
    printf '%s\n' "$operation: $1 on $host: $2" >&2
    exit 1
}

put_files() { # three arguments for each file: path, mode, content as packed() in base/scripts.py returns it
    while [ $# -gt 2 ]; do
        mkdir -p "$(dirname "$1")"
        rm -f "$1.new"
        printf '%s' "$3" | base64 -d | gzip -d > "$1.new"
        chmod "$2" "$1.new"
        chown 0:0 "$1.new"
        sync "$1.new"
        mv "$1.new" "$1"
        shift 3
    done
}

remove_drop_ins() { # directory of units, name: our additions to units of others
    for path in "$1"/*.d/"$2.conf"; do
        if [ ! -e "$path" ]; then continue; fi
        rm -f "$path" "$path.new"
        rmdir "${path%/*}" 2> /dev/null || true # others may have files there
    done
}
