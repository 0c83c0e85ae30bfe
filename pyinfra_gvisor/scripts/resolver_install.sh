#!/bin/sh
# Puts the resolver on the node and starts it. Arguments: path, mode and content in base64 of each
# file. Set before: textfile_dir, the directory of its metrics or nothing.
# Read behind put_files.sh and resolver_metrics.sh.
set -eu
: "${textfile_dir?}" "${resolver_dir:?}" "${unit:?}" "${units:?}"
unfinished=$resolver_dir/unfinished

said_by() { # more options: of whom of that unit
    journalctl -q -o cat -n 3 -u "$@" | tail -n 1 | cut -c1-200
}

if [ -n "$textfile_dir" ] && [ ! -d "$textfile_dir" ]; then
    die "$textfile_dir" "is no directory; make it, or leave gvisor_textfile_dir out"
fi
metrics=$(resolver_metrics)
had=''
if [ ! -e "$unfinished" ] && [ -f "$units/$unit.socket" ]; then had=$(cat "$units/$unit.socket"); fi
# A file too many is not as declared, so that a run that ends before the last line is made good by the next.
mkdir -p "$resolver_dir"
: > "$unfinished"
find "$resolver_dir" -mindepth 1 ! -path "$unfinished" -delete # the program that runs has read its modules
put_files "$@"
systemctl daemon-reload
listens=$(systemctl is-active "$unit.socket") || true # not active: systemctl(1)
if [ "$listens" != active ] || [ "$had" != "$(cat "$units/$unit.socket")" ]; then
    # What listens is as the unit was then, and beside a program that runs without it none can start.
    systemctl stop "$unit.service" "$unit.socket"
fi
systemctl enable --quiet "$unit.socket"
systemctl start "$unit.socket" || die "port 53" "it cannot be listened there: $(said_by "$unit.socket")"
# The sockets stay, with what comes meanwhile.
systemctl restart "$unit.service" ||
    die "$unit.service" "it does not start; it said: $(said_by "$unit.service" -t "$unit")"
if [ "$metrics" != "$(resolver_metrics)" ]; then remove_metrics "$metrics"; fi
rm "$unfinished"
