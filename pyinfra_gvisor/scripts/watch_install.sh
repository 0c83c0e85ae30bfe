#!/bin/sh
# Installs the watch and starts it. Arguments: path, mode and content in base64 of each file.
# Variables: textfile (the path of its metrics; may be empty). Comes after watch_stop.sh and put_files.sh.
set -eu
: "${textfile?}" "${watch_unit:?}"

command -v perl > /dev/null || die perl "not installed; install perl-base"
if [ -n "$textfile" ] && [ ! -d "${textfile%/*}" ]; then
    die "${textfile%/*}" "this directory does not exist; create it, or remove gvisor_textfile_dir"
fi
watch_stop "$textfile"
put_files "$@"
systemctl daemon-reload
# Last: a run that ends before this leaves the timer off, which the next run sees and repairs.
systemctl enable --quiet --now "$watch_unit.timer"
