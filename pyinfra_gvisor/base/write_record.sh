#!/bin/sh
# Writes one of our records, whole or not at all. Variables: state_dir, record, content_b64.
set -eu
: "${state_dir:?}" "${record:?}" "${content_b64:?}"
umask 077
mkdir -p "$state_dir"
printf '%s' "$content_b64" | base64 -d > "$state_dir/.$record.new"
sync "$state_dir/.$record.new"
mv -T "$state_dir/.$record.new" "$state_dir/$record"
