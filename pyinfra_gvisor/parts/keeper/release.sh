#!/bin/sh
# Checks the files of the release. Comes after begin.sh and manifest.sh. Variables: release_home (its directory).
: "${release_home:?}"

release_wrong() {
    lock=/run/pyinfra-gvisor/release.lock
    if [ -e "$lock" ] && ! flock -n "$lock" true; then
        say 'the release is being installed or repaired'
        return "$later"
    fi
    home=$release_home
    if intact; then return 0; fi
    say "$release_home was changed after it was installed"
    if is_changing; then return "$later"; fi # a run removes the release that it has replaced
}
