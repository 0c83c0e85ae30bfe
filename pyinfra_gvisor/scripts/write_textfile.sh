#!/bin/sh
# Writes the node exporter's textfile, all of it or nothing. Set before: textfile_dir content_b64.
set -eu
: "${textfile_dir:?}" "${content_b64:?}"
umask 022
if [ ! -d "$textfile_dir" ]; then
    printf '%s is not there; %s\n' "textfile_dir $textfile_dir" \
        "install prometheus-node-exporter or set gvisor_textfile_dir" >&2
    exit 1
fi
# The collector reads what ends in .prom: this name does not until all is there.
new="$textfile_dir/.pyinfra_gvisor.prom.new"
trap 'rm -f "$new"' EXIT
rm -f "$new" # not through a link that somebody left
printf '%s' "$content_b64" | base64 -d > "$new"
chmod 644 "$new"
sync "$new"
mv "$new" "$textfile_dir/pyinfra_gvisor.prom"
