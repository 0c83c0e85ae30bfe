#!/bin/sh
# Tries a container: a control under runc, then a twin under a runtime of ours, each for some seconds. Prints the lines
# of trial.pl. The control is first: its ports are asked of the twin, and its errors are not told of the twin.
# Comes after base/holder.sh and proof/containers.sh. Variables:
#   app        the id of the container
#   runtime    of the twin
#   seconds    how long each runs
#   connects   1: the ports of the runtime are found by connecting to them
#   control    empty: without a control
#   secret     a regular expression for the names of secrets
#   trial      trial.pl with what comes before it
set -eu
: "${app:?}" "${runtime:?}" "${seconds:?}" "${connects?}" "${control?}" "${secret:?}" "${trial:?}"

tried() { /usr/bin/perl -e "$trial" trial "$docker_socket" "$secret" "$app" "$@"; }

run_side() { # side runtime, and what create needs to pass: sets id, empty if Docker refused
    side=$1 runs=$2
    shift 2
    tried create "$side" "$runs" "$name-$side-$tag" "$label" "$tag" "$network" "$@" > "$work/created"
    grep -v "^$side	id	" "$work/created" || true
    id=$(sed -n "s/^$side	id	//p" "$work/created")
    if [ -z "$id" ]; then return 0; fi
    remove_later "$id"
    if [ "$side" = control ]; then permit "$id" runc; fi
    # shellcheck disable=SC2086 # these are numbers
    tried watch "$side" "$id" "$seconds" "$permits" "$connects" $ports
}

# Its code must not run on if this script is killed, or if Docker hangs until after its end. A container that does not
# exist any more is no error.
remove_later() { # id
    # shellcheck disable=SC2016 # perl's variables
    removers="$removers $(DOCKER_CONFIG=/proc/no-docker-config setsid /usr/bin/perl -e '
        my ($id, $seconds) = @ARGV;
        sleep $seconds;
        for (1 .. 60) {
            last if (qx(timeout 60 docker rm -f -v $id 2>&1)) =~ /No such container|^$id/;
            sleep 10;
        }' "$1" "$((seconds + 60))" > /dev/null 2>&1 7>&- 9>&- & echo $!)"
}

ports='' removers=''
take_lock
sweep_and_permit
docker network create --internal --label "$label=$tag" "$network" > /dev/null
: > "$work/known"
if [ -n "$control" ]; then
    # The default runtime is ours: it runs the control under runc, by the permit.
    if [ -n "$default" ]; then runc=""; else runc=runc; fi
    run_side control "$runc" "$door_header" "$permits/$door_file" > "$work/control"
    cat "$work/control"
    # It is gone before the twin runs: nobody may start it once more.
    if [ -n "$id" ]; then tried kinds "$id" > "$work/known" && docker rm -f -v "$id" > /dev/null; fi
    ports=$(sed -n 's/^control	ports	//p' "$work/control")
fi
run_side twin "$runtime"
if [ -n "$id" ]; then tried news "$work/known" "$id"; fi
# shellcheck disable=SC2086 # these are numbers
if [ -n "$removers" ]; then kill $removers 2> /dev/null || true; fi # one may have ended; the sweep removes what is left
echo 'end of trial'
