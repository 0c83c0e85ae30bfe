#!/bin/sh
# Puts the watch on the node and starts it. Arguments: path, mode and content in base64 of each file.
# Set before: host; textfile, the path of its metrics or nothing.
set -eu
: "${host:?}" "${textfile?}" "${watch_unit:?}"
umask 022

die() {
    printf '%s\n' "watch.watch: $1 on $host: $2" >&2
    exit 1
}

command -v perl > /dev/null || die perl "is not there; install perl-base"
if [ -n "$textfile" ] && [ ! -d "${textfile%/*}" ]; then
    die "${textfile%/*}" "is no directory; make it, or leave gvisor_textfile_dir out"
fi
watch_stop "$textfile"
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
systemctl daemon-reload
# What is not running is not as declared, so that a run that ends before this is made good by the next.
systemctl enable --quiet --now "$watch_unit.timer"
