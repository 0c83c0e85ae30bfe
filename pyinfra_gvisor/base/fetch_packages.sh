#!/bin/sh
# Takes a release out of a Debian package. apt gets lists, a cache and keys of its own, so the node's apt does not
# change. The package is unpacked and not installed: gVisor's own package would edit daemon.json.

apt() {
    apt-get -qq -o Dir::State::Lists="$staging/lists" -o Dir::Cache="$staging/cache" \
        -o APT::Sandbox::User=root -o Acquire::Retries=2 -o Acquire::http::Timeout="$timeout_s" "$@"
}

apt_of_ours() { # apt with our one repository, without the configuration and packages of the node's apt
    apt -o Dir::Etc::SourceList="$staging/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
        -o Dir::Etc::TrustedParts=/dev/null -o Dir::Etc::Trusted=/dev/null \
        -o Dir::State::status="$staging/status" "$@"
}

make_places() {
    if ! command -v apt-get > /dev/null; then die "apt-get is not installed; use another gvisor_source"; fi
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
fetch_apt() { # $1: expected sha512 of the package
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
    # Since August 2026 it has usr/bin/gvisor-bin/ beside usr/bin/runsc, like the archive.
    dpkg-deb -x "$staging"/runsc_*.deb "$staging/package" 2> "$staging/said" ||
        die "runsc.deb of $shown cannot be unpacked: $(said "$staging/said")"
    if [ ! -d "$staging/package/usr/bin" ]; then die "runsc.deb of $shown has no directory usr/bin"; fi
    (cd "$staging/package/usr/bin" && find . -mindepth 1 -printf '%M %P\n') > "$staging/listing"
    refuse_members "$shown" "$(sed 's/^[^ ]* //' "$staging/listing" | grep -v '^[A-Za-z0-9._/+-]*$' | head -n 1 || :)"
    mv "$staging"/package/usr/bin/* "$staging/tree/"
}
