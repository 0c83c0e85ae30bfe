#!/bin/sh
# Has the kernel's settings and our files about it as declared, and gives back what is ours no longer.
# Arguments: path, mode and content in base64 of each file.
# Set before: settings, a key and its value a line; gone, the files that go, a line each.
# Read behind put_files.sh.
set -euf
: "${settings?}" "${gone?}"
sys=/proc/sys
dir=/opt/gvisor/kernel
nothing='nothing was changed'
newline='
'

look() { # key: sets path, and value with one space between words; fails if the kernel has no such setting
    case "$1" in */*) path=$sys/$1 ;; *) path=$sys/$(printf '%s' "$1" | tr . /) ;; esac
    if [ ! -e "$path" ]; then return 1; fi
    value=$(cat -- "$path") || die "$1" "it cannot be read, nor put back then; $nothing. Leave it out"
    # shellcheck disable=SC2086
    set -- $value
    value=$*
}

of() { # key, pairs: sets found
    while read -r name found; do
        if [ "$name" = "$1" ]; then return 0; fi
    done << END
$2
END
    return 1
}

change() { # key, value: the one that look has found
    if ! said=$({ printf '%s\n' "$2" > "$path"; } 2>&1); then
        die "$1" "the kernel refuses '$2' (${said##*: }), it stays '$value'; $nothing"
    fi
    had=$value
    changed="$1 $value$newline$changed"
    look "$1"
    if [ "$value" != "$2" ]; then die "$1" "it is '$value' after '$2' was written, and '$had' again now; $nothing"; fi
}

keep() { # pairs as they were before us, and as we write them
    if [ -z "$1" ]; then
        rm -rf "$dir"
        if [ -d "${dir%/*}" ]; then rmdir --ignore-fail-on-non-empty "${dir%/*}"; fi
        return 0
    fi
    mkdir -p "$dir"
    for file in before written; do
        printf '%s\n' "${1%"$newline"}" > "$dir/$file.new"
        sync "$dir/$file.new"
        mv "$dir/$file.new" "$dir/$file"
        shift
    done
}

undo() { # what was changed, the last first; settings may depend on one another
    set +e
    while read -r key old; do
        if [ -n "$key" ] && look "$key"; then printf '%s\n' "$old" > "$path"; fi
    done << END
$changed
END
    keep "$old_before" "$old_written"
}

old_before='' old_written=''
if [ -f "$dir/before" ]; then old_before=$(cat "$dir/before"); fi
if [ -f "$dir/written" ]; then old_written=$(cat "$dir/written"); fi
changed='' before='' dropped=''
while read -r key wanted; do
    if [ -z "$key" ] || ! look "$key"; then continue; fi
    if of "$key" "$old_before"; then value=$found; fi
    before="$before$key $value$newline"
done << END
$settings
END
while read -r key value; do
    if [ -n "$key" ] && ! of "$key" "$settings"; then dropped="$dropped$key $value$newline"; fi
done << END
$old_before
END

# Written down before it is done, so that what is interrupted here can still be given back.
trap undo EXIT
keep "${before}${dropped}" "$settings$newline$old_written"
while read -r key wanted; do
    if [ -n "$key" ] && look "$key" && [ "$value" != "$wanted" ]; then change "$key" "$wanted"; fi
done << END
$settings
END
while read -r key old; do
    if [ -z "$key" ] || ! look "$key" || ! of "$key" "$old_written"; then continue; fi
    if [ "$value" = "$found" ] && [ "$value" != "$old" ]; then change "$key" "$old"; fi
done << END
$dropped
END
put_files "$@"
while IFS= read -r path; do
    if [ -n "$path" ]; then rm -f "$path"; fi
done << END
$gone
END
keep "$before" "$settings"
trap - EXIT
