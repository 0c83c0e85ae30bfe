#!/bin/sh
# Has the judge resident. Arguments: path, mode and packed content of each file. Variables: unit (the name of both
# units), units (their directory), directory (of its programs), program (the judge's), address (the socket at which
# dockerd asks; empty if it does not). Comes after put_files.sh and door.sh.
set -eu
: "${unit:?}" "${units:?}" "${directory:?}" "${program:?}" "${address?}"

said_by() { # kind of unit: prints the last line of its log
    journalctl -q -o cat -n 3 -u "$unit.$1" | tail -n 1 | cut -c1-200
}

answers() { [ -z "$address" ] || perl "$directory/ask.pl" 5 "$address"; } # prints the address at which none does

if [ ! -f "$program" ]; then die "$program" 'this program is missing, and wrappers run it too; run the whole deploy'; fi
if [ -z "$address" ]; then must_not_ask; fi
had=$(cat "$units/$unit.socket" 2> /dev/null || :)
rm -f "$units/sockets.target.wants/$unit.socket" # a run that ends before the last line is noticed by the next one
put_files "$@"
if [ -z "$address" ]; then wait_no_more && follow_again; fi
systemctl daemon-reload
listens=$(systemctl is-active "$unit.socket") || true # not active: systemctl(1)
silent=$(answers) || silent=$address
if [ "$listens" != active ] || [ "$had" != "$(cat "$units/$unit.socket")" ] || [ -n "$silent" ]; then
    # The old socket unit still listens. systemd does not start a socket whose service runs.
    systemctl stop "$unit.service" "$unit.socket"
fi
if [ -z "$address" ]; then listen_no_more; fi
systemctl start "$unit.socket" || die "$unit.socket" "this socket does not listen: $(said_by socket)"
# The socket stays open and keeps questions that arrive meanwhile.
systemctl restart "$unit.service" || die "$unit.service" "this service does not start: $(said_by service)"
answers || die "$unit.service" "the judge does not answer at $address: $(said_by service)"
if [ -n "$address" ]; then "$directory/volumes" sync || true; fi # the daemon.json that comes next settles it, too
systemctl enable --quiet "$unit.socket"
