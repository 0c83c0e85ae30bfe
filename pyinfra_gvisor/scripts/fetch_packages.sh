#!/bin/sh
# Gets a release out of a Debian package, with lists, cache and keys of its own: the node's apt stays
# as it is, and the package is unpacked only. gVisor's own would edit daemon.json when installed.

apt() {
    apt-get -qq -o Dir::State::Lists="$staging/lists" -o Dir::Cache="$staging/cache" \
        -o APT::Sandbox::User=root -o Acquire::Retries=2 -o Acquire::http::Timeout="$timeout_s" "$@"
}

apt_of_ours() { # one repository, and nothing of what the node's apt was told or has installed
    apt -o Dir::Etc::SourceList="$staging/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
        -o Dir::Etc::TrustedParts=/dev/null -o Dir::Etc::Trusted=/dev/null \
        -o Dir::State::status="$staging/status" "$@"
}

make_places() {
    if ! command -v apt-get > /dev/null; then die "apt-get is not there; use another gvisor_source"; fi
    mkdir -p "$staging/lists/partial" "$staging/cache/archives/partial" "$staging/package" "$staging/tree"
}

fetch_debian() {
    make_places
    apt update 2> "$staging/said" || die "apt-get update failed: $(said "$staging/said")"
    (cd "$staging" && apt download runsc) > /dev/null 2> "$staging/said" ||
        die "apt has no package runsc: $(said "$staging/said")"
    dpkg-deb -x "$staging"/runsc_*.deb "$staging/package"
    mv "$staging"/package/usr/bin/* "$staging/tree/"
}

# Suites: https://gvisor.dev/docs/user_guide/install/. The one named by date holds one release.
fetch_apt() { # $1: what the package's sha512 must be
    make_places
    : > "$staging/status"
    download "$key" "$staging/key.asc" "$key_shown"
    found=
    for suite in "${release%.*}" release; do
        say "deb [signed-by=$staging/key.asc] $repository $suite main" > "$staging/sources.list"
        if apt_of_ours update 2> "$staging/said"; then found=$suite; break; fi
    done
    if [ -z "$found" ]; then die "apt-get update from $shown failed: $(said "$staging/said")"; fi
    (cd "$staging" && apt_of_ours download runsc) > /dev/null 2> "$staging/said" ||
        die "$shown has no package runsc in suite $found: $(said "$staging/said")"
    check_sha512 "$(find "$staging" -maxdepth 1 -name 'runsc_*.deb')" "$1" "runsc.deb of $shown"
    # Since August 2026 it holds usr/bin/gvisor-bin/ beside usr/bin/runsc, as the archive does.
    dpkg-deb -x "$staging"/runsc_*.deb "$staging/package" 2> "$staging/said" ||
        die "runsc.deb of $shown cannot be unpacked: $(said "$staging/said")"
    if [ ! -d "$staging/package/usr/bin" ]; then die "runsc.deb of $shown holds no usr/bin"; fi
    (cd "$staging/package/usr/bin" && find . -mindepth 1 -printf '%M %P\n') > "$staging/listing"
    refuse_members "$shown" "$(sed 's/^[^ ]* //' "$staging/listing" | grep -v '^[A-Za-z0-9._/+-]*$' | head -n 1 || :)"
    mv "$staging"/package/usr/bin/* "$staging/tree/"
}
