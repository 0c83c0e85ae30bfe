#!/bin/sh
# Puts one runsc release beside the others: fetched, checked, unpacked, checked again, renamed.
# Set before: host release arch, source (url, file, apt, debian; none: only look whether what is
# there can be put right without any file, else end with 3), shown (where it comes from, for
# people), fresh (yes: what is there is not what is pinned, so fetch it whatever its record says; no),
# sidecars (yes, no), timeout_s, releases_dir; repository, key, key_shown for apt.
# Arguments: for each file its name, sha512, URL (or the uploaded file), and what to call it.
set -eu
: "${host:?}" "${release:?}" "${arch:?}" "${source:?}" "${shown:?}" "${fresh:?}" "${sidecars:?}" "${timeout_s:?}" "${releases_dir:?}"
export LC_ALL=C
umask 022
home=$releases_dir/$release
staging=$releases_dir/.staging-$release
upload_1='' upload_2=''
if [ "$source" = file ]; then upload_1=$3 upload_2=${7:-}; fi

say() { printf '%s\n' "$*"; }

died=''

die() {
    died=yes
    say "gvisor.release: $release on $host: $*; nothing was changed" >&2
    exit 1
}

tidy() { # $1: the exit code
    if [ "$1" != 0 ] && [ "$1" != 3 ] && [ -z "$died" ]; then
        why="a step failed"
        if [ -d "$staging" ] && no_space; then why="no space is left in $releases_dir"; fi
        say "gvisor.release: $release on $host: $why; run again, which goes on from what is there" >&2
    fi
    rm -rf "$staging"
    mountpoint -q "$releases_dir" || rmdir --ignore-fail-on-non-empty "$releases_dir" "${releases_dir%/*}"
    rm -f "$upload_1" "$upload_2"
}

no_space() { [ "$(df --output=avail "$staging" | tail -n 1)" -lt 64 ]; }

said() { # what a program said in a file, or why it could not even say that; never a password
    if no_space; then
        say "no space is left in $releases_dir"
    else
        tail -n 1 "$1" | sed 's#//[^/@[:space:]]*@#//#g; s#[^/[:space:]]*:[^/@[:space:]]*@##g' | cut -c1-200
    fi
}

unshown() { # a step's own failure, when the disk is full for instance
    if no_space; then die "no space is left in $releases_dir"; fi
    die "cannot write to $releases_dir: $1"
}

fetch_file() { # $1 name, $2 sha512, $3 location, $4 shown
    if [ "$source" = file ]; then
        # A copy, since whoever made the uploaded file may hold it open still.
        cat < "$3" > "$staging/$1" || unshown "the uploaded $1 cannot be copied"
        rm -f "$3"
    else
        download "$3" "$staging/$1" "$4"
    fi
    check_sha512 "$staging/$1" "$2" "$4"
    say "$2  $1" >> "$staging/fetched"
}

fetch_all() { # what comes out is in the tree
    case "$source" in
        debian) fetch_debian ;;
        apt)
            fetch_apt "$2"
            say "$2  $1" >> "$staging/fetched"
            ;;
        *)
            if [ "$#" -gt 4 ]; then mkdir "$staging/tree"; fi
            files=$#
            while [ "$#" -gt 0 ]; do
                fetch_file "$1" "$2" "$3" "$4"
                if [ "$files" -gt 4 ]; then mv "$staging/$1" "$staging/tree/$1"; else unpack_archive "$staging/$1"; fi
                shift 4
            done
            ;;
    esac
}

put_into_place() {
    find "$staging/tree" -type f -exec sync {} + & # the disk and the processor work side by side
    syncing=$!
    sums_of "$staging/tree" > "$staging/sums" || unshown "the sums of its members"
    wait "$syncing" || unshown "sync failed"
    if [ -e "$home" ] || [ -L "$home" ]; then
        replace_members
        write_manifest "$home" "$staging/sums" || unshown "the manifest"
        sync "$staging/manifest.json"
        mv -f "$staging/manifest.json" "$home/manifest.json"
    else
        write_manifest "$staging/tree" "$staging/sums" || unshown "the manifest"
        mv "$staging/manifest.json" "$staging/tree/manifest.json"
        sync "$staging/tree/manifest.json" || unshown "sync failed"
        mv -T "$staging/tree" "$home"
    fi
    sync "$home" "$releases_dir"
}

mkdir -p /run/pyinfra-gvisor
chmod 700 /run/pyinfra-gvisor # whoever can open a lock can hold it
exec 9>> /run/pyinfra-gvisor/release.lock
flock -w 600 9 || die "another run holds /run/pyinfra-gvisor/release.lock for 600 s"
mkdir -p "$releases_dir"
rm -rf "$releases_dir"/.staging-* # of runs that were killed: whoever lives holds the lock
trap 'tidy "$?"' EXIT
if [ "$fresh" = no ] && intact; then
    say "$release is there already"
    exit 0
fi
mkdir -m 0700 "$staging" || die "cannot write to $releases_dir"
: > "$staging/fetched"
if [ "$fresh" = no ] && same_content; then
    put_modes_right
    say "$release is verified again"
    exit 0
fi
if [ "$source" = none ]; then exit 3; fi
if [ "$source" = file ] || [ "$source" = url ]; then need_decompressor; fi
take_proxy
fetch_all "$@"
check_tree
put_into_place
say "$release is in $home"
