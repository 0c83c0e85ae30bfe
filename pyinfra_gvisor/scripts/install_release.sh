#!/bin/sh
# Puts one runsc release beside the others: fetched, checked, unpacked, checked again, renamed.
# Set before: host release source (url, file or debian), location (a URL, or the uploaded file),
# shown (where it comes from, for messages), sha512 (empty for debian), releases_dir.
set -eu
: "${host:?}" "${release:?}" "${source:?}" "${location?}" "${shown:?}" "${sha512?}" "${releases_dir:?}"
export LC_ALL=C
umask 022
home=$releases_dir/$release
staging=$releases_dir/.staging-$release

say() { printf '%s\n' "$*"; }

die() {
    say "gvisor.release: $release on $host: $*; nothing was changed" >&2
    exit 1
}

tidy() {
    rm -rf "$staging"
    mountpoint -q "$releases_dir" || rmdir --ignore-fail-on-non-empty "$releases_dir" "${releases_dir%/*}"
    if [ "$source" = file ]; then rm -f "$location"; fi
}

said() { # what a program said in a file, or why it could not even say that
    if [ "$(df --output=avail "$staging" | tail -n 1)" -lt 64 ]; then
        say "no space is left in $releases_dir"
    else
        tail -n 1 "$1" | cut -c1-200
    fi
}

fetch_failed() { die "cannot fetch $location: exit code $1, $(said "$2")"; }

fetch_url() {
    if command -v curl > /dev/null; then
        code=$(curl -sSL --retry 3 --connect-timeout 20 --speed-limit 1024 --speed-time 60 \
            -o "$staging/archive" -w '%{http_code}' "$location" 2> "$staging/curl") || fetch_failed "$?" "$staging/curl"
        if [ "$code" != 200 ]; then die "$location answers HTTP $code; check the release and gvisor_source"; fi
    elif command -v wget > /dev/null; then
        wget -nv --tries=3 --timeout=60 -O "$staging/archive" "$location" 2> "$staging/wget" || fetch_failed "$?" "$staging/wget"
    else
        die "neither curl nor wget is there; apt-get install curl"
    fi
}

need_decompressor() { # tar calls it; small nodes do not have every one
    case "$shown" in
        *.bz2) tool=bzip2 ;;
        *.zst | *.zstd) tool=zstd ;;
        *.xz) tool=xz ;;
        *) return 0 ;;
    esac
    if ! command -v "$tool" > /dev/null; then die "$tool is not there to unpack $shown; apt-get install $tool"; fi
}

check_sha512() {
    sum=$(sha512sum < "$staging/archive")
    if [ "${sum%% *}" != "$sha512" ]; then
        die "sha512 of $shown is $(say "$sum" | cut -c1-16)…, expected $(say "$sha512" | cut -c1-16)…; check the mirror in gvisor_source"
    fi
}

check_members() {
    tar -t -f "$staging/archive" > "$staging/names" 2> "$staging/tar" || die "$shown cannot be read: $(tail -n 1 "$staging/tar")"
    if grep -qE '^/|(^|/)\.\.(/|$)' "$staging/names"; then
        die "$shown holds a path that leaves its directory: $(grep -E '^/|(^|/)\.\.(/|$)' "$staging/names" | head -n 1 | cut -c1-60)"
    fi
    tar -tv -f "$staging/archive" > "$staging/types"
    if grep -qv '^[-d]' "$staging/types"; then
        die "$shown holds something that is neither file nor directory: $(grep -v '^[-d]' "$staging/types" | head -n 1 | cut -c1-100)"
    fi
}

unpack_archive() {
    mkdir "$staging/tree"
    tar -x -f "$staging/archive" --no-same-owner --no-same-permissions -C "$staging/tree" 2> "$staging/tar" ||
        die "$shown cannot be unpacked: $(said "$staging/tar")"
}

fetch_debian() { # with lists of its own, so that apt's on the node stay as they are
    mkdir -p "$staging/lists/partial" "$staging/cache/archives/partial" "$staging/package"
    apt() {
        apt-get -qq -o Dir::State::Lists="$staging/lists" -o Dir::Cache="$staging/cache" -o APT::Sandbox::User=root "$@"
    }
    apt update 2> "$staging/apt" || die "apt-get update failed: $(tail -n 1 "$staging/apt" | cut -c1-200)"
    (cd "$staging" && apt download runsc) > /dev/null 2> "$staging/apt" ||
        die "apt has no package runsc: $(tail -n 1 "$staging/apt" | cut -c1-200)"
    dpkg-deb -x "$staging"/runsc_*.deb "$staging/package"
    mkdir "$staging/tree"
    cp "$staging"/package/usr/bin/* "$staging/tree/"
}

check_tree() {
    runsc=$staging/tree/runsc
    if [ ! -f "$runsc" ]; then die "$shown holds no runsc; got $(head -n 3 "$staging/names" 2> /dev/null | tr '\n' ' ')"; fi
    chown -R 0:0 "$staging/tree"
    chmod -R a+rX,go-w,ug-s "$staging/tree"
    chmod a+x "$runsc"
    printed=$("$runsc" --version 2>&1 | head -n 1) || true
    case "$printed" in
        "runsc version release-$release" | "runsc version 0.0~$release") ;;
        *) die "runsc in $shown calls itself \"$(say "$printed" | cut -c1-60)\"" ;;
    esac
}

mkdir -p /run/pyinfra-gvisor
exec 9>> /run/pyinfra-gvisor/release.lock
flock -w 600 9 || die "another run holds /run/pyinfra-gvisor/release.lock for 600 s"
mkdir -p "$releases_dir"
if [ -x "$home/runsc" ]; then
    if [ "$source" = file ]; then rm -f "$location"; fi
    say "$release is there already"
    exit 0
fi
rm -rf "$staging"
trap tidy EXIT
need_decompressor
mkdir "$staging" || die "cannot write to $releases_dir"
case "$source" in
    url) fetch_url ;;
    file) mv "$location" "$staging/archive" || die "the uploaded archive is not there" ;;
    debian) fetch_debian ;;
esac
if [ "$source" != debian ]; then
    check_sha512
    check_members
    unpack_archive
fi
check_tree
find "$staging/tree" -type f -exec sync {} + || die "cannot write to $releases_dir, is the disk full?"
rm -rf "$home"
mv "$staging/tree" "$home"
sync "$releases_dir"
say "$release is in $home"
