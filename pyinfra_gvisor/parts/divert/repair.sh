#!/bin/sh
# Runs in a deploy and before each start of dockerd. Variables: program_sha256. Comes after places.sh.
: "${program_sha256:?}"
lock_places
if [ "$(sum_of "$divert_dir/program")" != "$program_sha256" ]; then wrong "$divert_dir/program was changed; run pyinfra-gvisor apply"; fi

new=$(others)
if [ -n "$new" ]; then
    { cat "$divert_dir/places" && printf '%s\n' "$new"; } > "$divert_dir/places.new"
    sync "$divert_dir/places.new"
    mv -f "$divert_dir/places.new" "$divert_dir/places"
fi
taken='' lost=''
while IFS= read -r place; do
    if is_runc "$place" || is_runc "$place$aside"; then
        take_place "$place"
        taken=$place
    else
        lost="$lost $place$aside"
    fi
done < "$divert_dir/places"
if [ -z "$taken" ]; then wrong "the runc of this node is missing or damaged, expected$lost; reinstall its package"; fi
