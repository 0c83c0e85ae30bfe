#!/bin/sh
# Checks the files of the release. Comes after begin.sh and manifest.sh. Variables: release_home (its directory).
: "${release_home:?}"

release_wrong() {
    lock=/run/pyinfra-gvisor/release.lock
    if [ -e "$lock" ] && ! flock -n "$lock" true; then return 1; fi # it is being repaired
    home=$release_home
    if ! intact; then say "$release_home was changed after it was installed"; fi
}
