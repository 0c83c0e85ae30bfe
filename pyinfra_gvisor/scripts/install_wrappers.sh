#!/bin/sh
# Writes wrapper scripts. Arguments: pairs of path and content in base64. Set before: link
# (where /usr/local/bin/runsc shall point, or empty to leave it).
set -eu
: "${link?}"
umask 022
while [ $# -gt 1 ]; do
    mkdir -p "$(dirname "$1")"
    printf '%s' "$2" | base64 -d > "$1.new"
    chmod 0755 "$1.new"
    sync "$1.new"
    mv "$1.new" "$1"
    shift 2
done
if [ -n "$link" ]; then
    ln -sfn "$link" /usr/local/bin/.runsc.new
    mv -T /usr/local/bin/.runsc.new /usr/local/bin/runsc
fi
