#!/bin/sh
# Installs a timer with a service, and starts it. Arguments: path, mode and packed content of each file.
# Variables: textfile (the path of its metrics; may be empty). Comes after put_files.sh and timer_stop.sh.
set -eu
: "${textfile?}" "${timer_unit:?}"

command -v perl > /dev/null || die perl "not installed; install perl-base"
if [ -n "$textfile" ] && [ ! -d "${textfile%/*}" ]; then
    die "${textfile%/*}" "this directory does not exist; create it, or remove gvisor_textfile_dir"
fi
timer_stop "$textfile"
put_files "$@"
systemctl daemon-reload
exec 8>&- # of parts/keeper/waits.sh: the first check of the keeper begins at once
# Last: a run that ends before this leaves the timer off, which the next run sees and repairs.
systemctl enable --quiet --now "$timer_unit.timer"
