#!/bin/sh
# Installs one runsc release beside the others: fetch, check, unpack, check again, rename.
# Variables: host, release, arch, source (url, file, apt, debian; none: only repair what needs no file, else exit
# with 3), shown (the source's name in messages), fresh (yes: the installed release does not match the pinned
# checksums, so fetch it whatever its record says; or no), sidecars (yes or no), timeout_s, releases_dir; for apt
# also repository, key, key_shown. Arguments, four for each file: name, sha512, URL (or the uploaded file), name
# in messages.
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
        say "gvisor.release: $release on $host: $why; run again: the next run repairs the release" >&2
    fi
    rm -rf "$staging"
    mountpoint -q "$releases_dir" || rmdir --ignore-fail-on-non-empty "$releases_dir" "${releases_dir%/*}"
    rm -f "$upload_1" "$upload_2"
}

no_space() { [ "$(df --output=avail "$staging" | tail -n 1)" -lt 64 ]; }

said() { # prints the last line of a program's output without passwords, or that the disk is full
    if no_space; then
        say "no space is left in $releases_dir"
    else
        tail -n 1 "$1" | sed 's#//[^/@[:space:]]*@#//#g; s#[^/[:space:]]*:[^/@[:space:]]*@##g' | cut -c1-200
    fi
}

unshown() { # dies after a step that printed no reason, for example on a full disk
    if no_space; then die "no space is left in $releases_dir"; fi
    die "cannot write to $releases_dir: $1"
}

fetch_file() { # $1 name, $2 sha512, $3 location, $4 shown
    if [ "$source" = file ]; then
        # A copy: the uploader may still hold the uploaded file open.
        cat < "$3" > "$staging/$1" || unshown "the uploaded $1 cannot be copied"
        rm -f "$3"
    else
        download "$3" "$staging/$1" "$4"
    fi
    check_sha512 "$staging/$1" "$2" "$4"
    say "$2  $1" >> "$staging/fetched"
}

fetch_all() { # leaves the release in $staging/tree
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
    find "$staging/tree" -type f -exec sync {} + & # the disk works while the processor computes checksums
    syncing=$!
    sums_of "$staging/tree" > "$staging/sums" || unshown "the checksums of its files"
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
lock=/run/pyinfra-gvisor/release.lock
flock -w 600 9 || die "$(holder "$lock") has held $lock for 600 s; wait until it ends, then run again"
mkdir -p "$releases_dir"
rm -rf "$releases_dir"/.staging-* # left by killed runs: a live run would hold the lock
trap 'tidy "$?"' EXIT
if [ "$fresh" = no ] && intact; then
    say "$release is already installed"
    exit 0
fi
mkdir -m 0700 "$staging" || die "cannot write to $releases_dir"
: > "$staging/fetched"
if [ "$fresh" = no ] && same_content; then
    put_modes_right
    say "$release: its files are verified and its permissions repaired"
    exit 0
fi
if [ "$source" = none ]; then exit 3; fi
if [ "$source" = file ] || [ "$source" = url ]; then need_decompressor; fi
take_proxy
fetch_all "$@"
check_tree
put_into_place
say "$release is installed in $home"
