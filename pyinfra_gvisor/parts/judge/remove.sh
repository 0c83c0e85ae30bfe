#!/bin/sh
# Has no resident judge. Variables: unit (the name of both units), units (their directory), directory (of its
# programs), permits (how the paths of operators' permits begin). Comes after put_files.sh and door.sh.
set -eu
: "${unit:?}" "${units:?}" "${directory:?}" "${permits:?}"

must_not_ask
for kind in socket service; do # the socket first: a question would start the service again
    state=$(systemctl is-active "$unit.$kind") || true # not active: systemctl(1)
    case "$state" in inactive | unknown | '') ;; *) systemctl stop "$unit.$kind" ;; esac
    if systemctl is-failed --quiet "$unit.$kind"; then systemctl reset-failed "$unit.$kind"; fi
done
rm -f "$units/sockets.target.wants/$unit.socket" # systemctl cannot disable a unit whose file is gone
rm -f "$units/$unit.socket" "$units/$unit.service" "$units/$unit.socket.new" "$units/$unit.service.new"
wait_no_more
listen_no_more
follow_again
rm -rf "$directory" "$permits"*
systemctl daemon-reload
