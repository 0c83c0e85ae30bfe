#!/bin/sh
# Functions about what has dockerd ask. Comes before install.sh and remove.sh. Variables: unit (the name of the judge's
# units), units (their directory), plugin (the name by which dockerd asks), listens_at (where), file (daemon.json),
# directory (of its programs).
: "${unit:?}" "${units:?}" "${plugin:?}" "${listens_at:?}" "${file:?}" "${directory:?}"

must_not_ask() { # dockerd would end at its next reload, and not start again
    if [ -e "$file" ] && tr '\n' ' ' < "$file" | grep -q "\"authorization-plugins\"[^]]*\"$plugin\""; then
        die "$file" "names the authorization plugin $plugin, without which dockerd does not start; nothing was changed; run again"
    fi
}

wait_no_more() { remove_drop_ins "$units" "$unit"; } # what has dockerd's unit wait for the judge

follow_again() { # links in volumes
    if [ -f "$directory/volumes" ]; then
        "$directory/volumes" release || die "$directory/volumes" 'links in volumes are still not followed: remounting failed'
    fi
    rm -f "$directory/volumes"
}

listen_no_more() { rm -f "$listens_at"; } # also ends a program that stands in for the judge
