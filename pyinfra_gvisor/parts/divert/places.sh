#!/bin/sh
# Gives the place of runc to our program, and gives it back. Each step is atomic, and runc is at its path at any time.
# A run that was killed after any step, or by a power cut, is finished by the next one. Variables: divert_dir, aside
# (how the name of runc ends while our program has its place), mark (the second line of our program).
set -eu
: "${divert_dir:?}" "${aside:?}" "${mark:?}"
umask 022
export LC_ALL=C

wrong() { # what is wrong; what to do
    printf '%s\n' "$*" >&2
    exit 1
}

# Two that move runc at once could lose it. Holds until the program ends or closes 7.
lock_places() {
    mkdir -p /run/pyinfra-gvisor
    chmod 700 /run/pyinfra-gvisor # whoever can open a lock can hold it
    exec 7>> /run/pyinfra-gvisor/divert.lock
    flock -w 50 7 || wrong 'the place of runc has been locked for 50 s by another program; see lslocks'
}

is_runc() { [ -f "$1" ] && head -c 4 "$1" | grep -q ELF; }

sum_of() { # path
    set -- "$(sha256sum < "$1")"
    printf '%s\n' "${1%% *}"
}

others() { # prints runc at other places: another package may have brought one
    for directory in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin; do
        path=$(readlink -f "$directory/runc") || continue
        if is_runc "$path" && ! grep -qxF "$path" "$divert_dir/places"; then printf '%s\n' "$path"; fi
    done | sort -u
}

is_taken() { cmp -s "$divert_dir/program" "$1" && [ "$(stat -c %a:%u:%g "$1")" = 755:0:0 ]; } # path: by our program

was_here() { grep -qxF "$(sum_of "$1")" "$divert_dir/originals" 2> /dev/null; } # path: this runc, before our program

of_package() { # path
    if ! command -v dpkg-query > /dev/null; then return 1; fi
    dpkg-query -S "$1" 2> /dev/null | grep -v '^diversion by ' | grep -qF ": $1"
}

diverted_to() { # path: where dpkg puts it instead
    if command -v dpkg-divert > /dev/null; then dpkg-divert --list "$1" | sed -n "s|^.* diversion of $1 to ||p; s|^diversion of $1 to \(.*\) by .*|\1|p"; fi
}

# A hard link, so that mode, owner and times stay; a copy where there are no hard links.
keep() { # path
    if ! was_here "$1"; then sum_of "$1" >> "$divert_dir/originals"; fi
    sync "$divert_dir/originals"
    rm -f "$1$aside.new"
    ln "$1" "$1$aside.new" || cp -p "$1" "$1$aside.new"
    sync "$1$aside.new"
    mv -fT "$1$aside.new" "$1$aside"
}

# Where runc is at its own path, it is the one to keep: it was not moved yet, or somebody has put another one there.
# Only if dpkg has updated the one that was moved meanwhile, that one is newer.
take_place() { # path
    to=$(diverted_to "$1")
    if [ -n "$to" ] && [ "$to" != "$1$aside" ]; then wrong "$1 is diverted to $to by others; remove that diversion"; fi
    if is_runc "$1" && ! cmp -s "$1" "$1$aside"; then
        if [ ! -f "$1$aside" ] || [ -z "$to" ] || ! was_here "$1"; then keep "$1"; fi
    fi
    if of_package "$1"; then
        if ! grep -qxF "$1" "$divert_dir/owned" 2> /dev/null; then printf '%s\n' "$1" >> "$divert_dir/owned"; fi
        if [ -z "$to" ]; then dpkg-divert --quiet --local --no-rename --divert "$1$aside" --add "$1"; fi
    fi
    if is_taken "$1"; then return 0; fi
    rm -f "$1$aside.new"
    cp "$divert_dir/program" "$1$aside.new"
    chmod 755 "$1$aside.new"
    sync "$1$aside.new"
    mv -fT "$1$aside.new" "$1"
    sync "$(dirname "$1")"
}

give_back() { # path
    if [ "$(diverted_to "$1")" = "$1$aside" ]; then dpkg-divert --quiet --local --no-rename --remove "$1"; fi
    rm -f "$1$aside.new"
    if [ ! -f "$1$aside" ]; then
        if ! is_runc "$1" && head -n 2 "$1" 2> /dev/null | grep -qxF "$mark"; then rm -f "$1"; fi
    elif is_runc "$1" && { cmp -s "$1" "$1$aside" || ! was_here "$1"; }; then
        rm -f "$1$aside" # it has not moved, or its package is newer by now
    else
        mv -fT "$1$aside" "$1"
    fi
    sync "$(dirname "$1")"
}
