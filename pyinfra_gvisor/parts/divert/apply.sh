#!/bin/sh
# Gives the place of runc to our program. Arguments: path, mode and packed content of each file. Variables: unit,
# dispatcher (the wrapper that our program starts), links (a program that settles who follows links in volumes). Comes
# after put_files.sh and places.sh.
set -eu
: "${unit:?}" "${dispatcher:?}" "${divert_dir:?}" "${links:?}"

answers() { # every runc, as dockerd asks at its start
    while IFS= read -r place; do "$place" --version > /dev/null 2>&1 || return 1; done < "$divert_dir/places"
}

leave() { # places that have no runc any more
    for place in $1; do
        if ! grep -qxF "$place" "$divert_dir/places"; then give_back "$place"; fi
    done
}

if [ ! -f "$dispatcher" ] || [ ! -x "$dispatcher" ]; then die "$dispatcher" 'missing or not executable, so no container would start; run the whole deploy'; fi
lock_places
before=$(cat "$divert_dir/places" 2> /dev/null || :)
put_files "$@"
leave "$before"
exec 7>&- # the repair takes the lock by itself
systemctl daemon-reload
systemctl enable --quiet "$unit"
said=$("$divert_dir/repair" 2>&1) || die runc "$said"
if ! answers; then
    lock_places
    systemctl disable --quiet "$unit" # else it takes the place again when dockerd starts
    while IFS= read -r place; do give_back "$place"; done < "$divert_dir/places"
    die runc 'our program does not start in place of runc, so runc was restored; see journalctl -t kernel'
fi
if [ -f "$links" ]; then "$links" sync || true; fi # now the judge is asked about runc, too
