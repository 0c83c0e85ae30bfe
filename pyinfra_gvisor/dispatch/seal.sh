#!/bin/sh
# Refuses containers that ask for what a sandbox may not have. Comes after call.sh and before the line that starts runsc.
# Variables: mounts (a directory: what to check when a container starts, by its id).
: "${mounts:?}"
case "$command" in
    create | run | restore)
        if [ "${pyinfra_gvisor_judged:-}" != "$id" ]; then # else dispatch.sh has asked already
            judge "$@"
            if [ "$where" != sandbox ]; then refuse "$0: unknown decision"; fi
        fi
        unset pyinfra_gvisor_judged
        ;;
    start) if [ -e "$mounts/$id" ]; then judge "$@"; fi ;;
    delete) if [ -e "$mounts/$id" ]; then rm -f "$mounts/$id"; fi ;; # of a container that did not start
esac
