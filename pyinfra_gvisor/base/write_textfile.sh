#!/bin/sh
# Writes the node exporter's textfile, whole or not at all. Variables: textfile_dir, content_b64.
set -eu
: "${textfile_dir:?}" "${content_b64:?}"
umask 022
if [ ! -d "$textfile_dir" ]; then
    printf '%s does not exist; %s\n' "textfile_dir $textfile_dir" \
        "install prometheus-node-exporter, or correct gvisor_textfile_dir" >&2
    exit 1
fi
# The collector reads names that end in .prom: this one does not until the file is complete.
new="$textfile_dir/.pyinfra_gvisor.prom.new"
trap 'rm -f "$new"' EXIT
rm -f "$new" # do not write through a symbolic link
printf '%s' "$content_b64" | base64 -d > "$new"
chmod 644 "$new"
sync "$new"
mv "$new" "$textfile_dir/pyinfra_gvisor.prom"
