#!/bin/sh
# Has no door. Variables: unit (the name of both units), units (their directory), directory (of its programs), plugin
# (its name), file (daemon.json). Comes after put_files.sh.
set -eu
: "${unit:?}" "${units:?}" "${directory:?}" "${plugin:?}" "${file:?}"

# dockerd would end at its next reload, and not start again.
if [ -e "$file" ] && tr '\n' ' ' < "$file" | grep -q "\"authorization-plugins\"[^]]*\"$plugin\""; then
    die "$file" "names the authorization plugin $plugin, without which dockerd does not start; nothing was changed; run again"
fi
for kind in socket service; do # the socket first: a question would start the service again
    state=$(systemctl is-active "$unit.$kind") || true # not active: systemctl(1)
    case "$state" in inactive | unknown | '') ;; *) systemctl stop "$unit.$kind" ;; esac
    if systemctl is-failed --quiet "$unit.$kind"; then systemctl reset-failed "$unit.$kind"; fi
done
rm -f "$units/sockets.target.wants/$unit.socket" # systemctl cannot disable a unit whose file is gone
rm -f "$units/$unit.socket" "$units/$unit.service" "$units/$unit.socket.new" "$units/$unit.service.new"
for path in "$units"/*.service.d/"$unit.conf"; do
    if [ ! -e "$path" ]; then continue; fi
    rm -f "$path" "$path.new"
    rmdir "${path%/*}" 2> /dev/null || true # others may have files there
done
rm -rf "$directory"
systemctl daemon-reload
