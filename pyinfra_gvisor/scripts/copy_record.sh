#!/bin/sh
# Copies one of our records, all of it or nothing, while no change of daemon.json is going on.
# Set before: state_dir source_file target_file.
set -eu
: "${state_dir:?}" "${source_file:?}" "${target_file:?}"
umask 077
exec 9>> "$state_dir/lock"
if ! flock -w 120 9 || [ -e "$state_dir/pending" ]; then
    echo "cannot copy $source_file: a change of daemon.json is not over; run again" >&2
    exit 1
fi
cp "$source_file" "$state_dir/.copy.new"
sync "$state_dir/.copy.new"
mv -T "$state_dir/.copy.new" "$target_file"
