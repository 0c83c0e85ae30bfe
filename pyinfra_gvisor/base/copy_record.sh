#!/bin/sh
# Copies one of our records, whole or not at all, while daemon.json is not being changed.
# Variables: state_dir, source_file, target_file.
set -eu
: "${state_dir:?}" "${source_file:?}" "${target_file:?}"
umask 077
exec 9>> "$state_dir/lock"
if ! flock -w 120 9 || [ -e "$state_dir/pending" ]; then
    echo "cannot copy $source_file: a change of daemon.json has not ended; run again" >&2
    exit 1
fi
cp "$source_file" "$state_dir/.copy.new"
sync "$state_dir/.copy.new"
mv -T "$state_dir/.copy.new" "$target_file"
