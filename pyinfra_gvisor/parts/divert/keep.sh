#!/bin/sh
# Checks that our program has the place of runc, and restores that. Comes after places.sh. Variables: divert_repair,
# divert_unit.
: "${divert_repair:?}" "${divert_unit:?}"

divert_wrong() {
    if [ ! -r "$divert_dir/places" ]; then say "$divert_dir/places is missing"; fi
    while IFS= read -r place; do
        if ! is_taken "$place"; then say "$place is not our program"; fi
        if ! { [ -f "$place$aside" ] && [ -x "$place$aside" ]; }; then say "$place$aside, the runc of this node, is missing or not executable"; fi
    done < "$divert_dir/places"
    for place in $(others); do say "$place is another runc"; done
    if ! systemctl is-enabled --quiet "$divert_unit"; then say "$divert_unit is not enabled"; fi
}

divert_restore() {
    "$divert_repair"
    systemctl enable --quiet "$divert_unit"
}
