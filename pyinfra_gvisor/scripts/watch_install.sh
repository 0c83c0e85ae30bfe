#!/bin/sh
# Puts the watch on the node and starts it. Arguments: path, mode and content in base64 of each file.
# Set before: textfile, the path of its metrics or nothing.
# Read behind watch_stop.sh and put_files.sh.
set -eu
: "${textfile?}" "${watch_unit:?}"

command -v perl > /dev/null || die perl "is not there; install perl-base"
if [ -n "$textfile" ] && [ ! -d "${textfile%/*}" ]; then
    die "${textfile%/*}" "is no directory; make it, or leave gvisor_textfile_dir out"
fi
watch_stop "$textfile"
put_files "$@"
systemctl daemon-reload
# What is not running is not as declared, so that a run that ends before this is made good by the next.
systemctl enable --quiet --now "$watch_unit.timer"
