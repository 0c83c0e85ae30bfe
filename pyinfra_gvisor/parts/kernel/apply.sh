#!/bin/sh
# Applies the declared kernel settings and files, and restores the earlier value of settings that are no longer
# declared. Arguments: path, mode and packed content of each file.
# Variables: settings (key and value, one pair a line), gone (files to remove, one a line). Comes after put_files.sh.
set -euf
: "${settings?}" "${gone?}"
sys=/proc/sys
dir=/opt/gvisor/kernel
nothing='nothing was changed'
newline='
'

look() { # key: sets path and value (words separated by one space); fails if the kernel has no such setting
    case "$1" in */*) path=$sys/$1 ;; *) path=$sys/$(printf '%s' "$1" | tr . /) ;; esac
    if [ ! -e "$path" ]; then return 1; fi
    value=$(cat -- "$path") || die "$1" "this setting cannot be read, so it could not be restored later; $nothing. Remove it from gvisor_kernel"
    # shellcheck disable=SC2086
    set -- $value
    value=$*
}

of() { # key, pairs: sets found to the value of this key
    while read -r name found; do
        if [ "$name" = "$1" ]; then return 0; fi
    done << END
$2
END
    return 1
}

change() { # key, value: writes the setting that look has read
    if ! said=$({ printf '%s\n' "$2" > "$path"; } 2>&1); then
        die "$1" "the kernel refuses '$2' (${said##*: }), the value stays '$value'; $nothing"
    fi
    had=$value
    changed="$1 $value$newline$changed"
    look "$1"
    if [ "$value" != "$2" ]; then die "$1" "the kernel reads '$value' after '$2' was written; the earlier value '$had' was restored; $nothing"; fi
}

keep() { # pairs from before us, pairs that we write: records both
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

undo() { # restores changed settings, the last first: one may depend on another
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

# Recorded before the first change, so that an interrupted run can still be undone.
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
