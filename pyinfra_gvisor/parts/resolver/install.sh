#!/bin/sh
# Installs the resolver and starts it. Arguments: path, mode and packed content of each file.
# Variables: textfile_dir (the directory of its metrics; may be empty). Comes after put_files.sh and
# parts/resolver/metrics.sh.
set -eu
: "${textfile_dir?}" "${resolver_dir:?}" "${unit:?}" "${units:?}"
unfinished=$resolver_dir/unfinished

said_by() { # unit, options of journalctl: prints the last line of its log
    journalctl -q -o cat -n 3 -u "$@" | tail -n 1 | cut -c1-200
}

if [ -n "$textfile_dir" ] && [ ! -d "$textfile_dir" ]; then
    die "$textfile_dir" "this directory does not exist; create it, or remove gvisor_textfile_dir"
fi
metrics=$(resolver_metrics)
had=''
if [ ! -e "$unfinished" ] && [ -f "$units/$unit.socket" ]; then had=$(cat "$units/$unit.socket"); fi
# The next run sees this extra file if this run ends before its last line, and installs again.
mkdir -p "$resolver_dir"
: > "$unfinished"
find "$resolver_dir" -mindepth 1 ! -path "$unfinished" -delete # the running program has already loaded its modules
put_files "$@"
systemctl daemon-reload
listens=$(systemctl is-active "$unit.socket") || true # not active: systemctl(1)
if [ "$listens" != active ] || [ "$had" != "$(cat "$units/$unit.socket")" ]; then
    # The old socket unit still listens. systemd does not start a socket whose service runs.
    systemctl stop "$unit.service" "$unit.socket"
fi
systemctl enable --quiet "$unit.socket"
systemctl start "$unit.socket" || die "port 53" "the resolver cannot listen on this port: $(said_by "$unit.socket")"
# The sockets stay open and keep queries that arrive meanwhile.
systemctl restart "$unit.service" ||
    die "$unit.service" "this service does not start: $(said_by "$unit.service" -t "$unit")"
if [ "$metrics" != "$(resolver_metrics)" ]; then remove_metrics "$metrics"; fi
rm "$unfinished"
