#!/bin/sh
# Has the place of runc. Hands calls about Docker's containers and about build steps to the dispatcher, and all others
# to runc: those of dockerd itself, of its plugins, and of whoever else uses runc. Comes after call.sh. Variables:
# places (a file: where runc was), aside (how its name ends now), dispatcher (a wrapper), retired (yes: nothing new goes
# into a sandbox, and what is in one stays reachable).
: "${places:?}" "${aside:?}" "${dispatcher:?}" "${retired?}" "${dockers_path?}"

runc=''
if [ ! -r "$places" ]; then refuse "$places cannot be read, so runc was not found; check that /opt is mounted"; fi
while IFS= read -r place; do
    if [ -z "$runc" ] && [ -f "$place$aside" ] && [ -x "$place$aside" ]; then runc=$place$aside; fi
done < "$places"
if [ -z "$runc" ]; then refuse "runc is missing: no path in $places has a file with $aside at the end; reinstall runc"; fi
# Docker's containers are in the namespace "moby" of containerd, its plugins in "plugins.moby".
case "$root,$log" in
    */moby,* | *,*/buildkit/executor/*) ;;
    *) PATH=$dockers_path && exec "$runc" "$@" ;;
esac
case "$retired,$command" in yes,create | yes,run | yes,restore) PATH=$dockers_path && exec "$runc" "$@" ;; esac
if [ ! -f "$dispatcher" ] || [ ! -x "$dispatcher" ]; then refuse "$dispatcher is missing, so no container starts; run pyinfra-gvisor apply"; fi
export pyinfra_gvisor_runc="$runc" # not to be searched again: PATH may lead here through a symbolic link
PATH=$dockers_path
exec "$dispatcher" "$@"
