#!/bin/sh
# Starts a container under each runtime and prints what is seen of it, from outside and inside:
# "subject<TAB>observation<TAB>value" a line. Judging that is not done here. Needs no image from
# anywhere and nothing of one: the programs are the node's own, mounted read-only, started by the
# node's own loader. Read behind prove_names.sh and prove_look.sh.
# Set before: probe_timeout_s (by prove_within.sh: it is ended after these seconds), runtimes (names; runc is the negative control), offline (those without a network),
# named (those that have Docker's names),
# image (none: an empty one is made), external (a name that is not Docker's), program_b64, verdicts (the
# program that says what a container is), and no_reload (why dockerd is not to be reloaded; if empty, prove_reload.sh is read in front), and
# trying (the parts whose proof.sh is read in front: before containers are looked at <part>_begins is
# called, then for each of them <part>_tries, then <part>_ends; <part>_sweeps gets the addresses of
# what is tidied up).
set -eu
: "${probe_timeout_s:?}" "${runtimes:?}" "${offline?}" "${named?}" "${image?}" "${external:?}" "${program_b64:?}" "${verdicts:?}" "${no_reload?}" "${trying?}"
export LC_ALL=C
label=pyinfra-gvisor.probe
tag=$$-$(date +%s)
network=pyinfra-gvisor-probe-$tag
name=pyinfra-gvisor-probe # of a container: with the runtime and the tag behind it
port=7777
memory=134217728 # bytes: enough for a sandbox with little in it
tools=/.pyinfra-gvisor # where containers see the node's programs
setuid='' work='' made=''

say() { printf '%s\n' "$*"; }

fail() { # why; what to do
    printf 'node\tended\t%s\n' "$*" >&7 # wherever output goes at the moment
    exit 1
}

# On a busy node Docker may be told too late that a container has ended, and then keeps it: "did not
# receive an exit event".
remove_containers() {
    for try in 1 2 3; do
        containers=$(docker ps -aq --filter "label=$label")
        # shellcheck disable=SC2086
        if [ -z "$containers" ] || docker rm -f -v $containers > /dev/null; then return 0; fi
        if [ "$try" -lt 3 ]; then sleep 1; fi
    done
    return 1
}

# What this run or one that was killed has left; the lock says that none is alive. Not --rm: the
# wait for such containers before a restart of dockerd would be for these too.
sweep() {
    wait
    containers=$(docker ps -aq --filter "label=$label") sources=''
    # shellcheck disable=SC2086
    if [ -n "$containers" ]; then
        sources=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' $containers)
        remove_containers
    fi
    # shellcheck disable=SC2086
    for part in $trying; do "${part}_sweeps" $sources; done
    networks=$(docker network ls -q --filter "label=$label")
    # shellcheck disable=SC2086
    if [ -n "$networks" ]; then docker network rm $networks > /dev/null; fi
    images=$(docker images -q "$name")
    # shellcheck disable=SC2086
    if [ -n "$images" ]; then docker rmi -f $images > /dev/null; fi
    for directory in "$work" "$made"; do
        if [ -n "$directory" ]; then rm -rf "$directory"; fi
    done
}

find_programs() { # sets perl: how a container starts it
    loader=''
    for path in /lib64/ld-linux-x86-64.so.2 /lib/ld-linux-aarch64.so.1; do
        if [ -e "$path" ]; then loader=$(readlink -f "$path"); fi
    done
    case "$loader" in
        /usr/*) ;;
        *) fail "no loader of programs below /usr, got ${loader:-none}; is /usr merged? See usrmerge" ;;
    esac
    if [ ! -x /usr/bin/perl ]; then fail 'no /usr/bin/perl; install perl-base'; fi
    perl="$tools$loader --library-path $tools${loader%/*} $tools/usr/bin/perl"
    # shellcheck disable=SC2016
    for path in $(/usr/bin/perl -e 'print map { "$_\n" } grep { m{^/usr/} } @INC'); do
        perl="$perl -I$tools$path"
    done
    program=$(printf '%s' "$program_b64" | base64 -d)
}

# With a program that is setuid, in which the loader and libraries are where every program has them.
make_image() {
    setuid=/setuid-id image=$name:$tag
    made=$(mktemp -d)
    mkdir "$made/proc" "$made/sys" "$made/dev" "$made/tmp" "$made/etc" "$made/run"
    for link in lib lib64; do
        if [ -e "/$link" ]; then ln -s "$tools/usr/$link" "$made/$link"; fi
    done
    cp /usr/bin/id "$made$setuid"
    chmod 4755 "$made$setuid"
    tar -C "$made" -c . | docker import --change "LABEL $label=$tag" - "$image" > /dev/null
}

# Nothing of what an image declares is to have a say: who it runs as, how it is stopped, what a
# loader or perl would read first. The node's log driver may send to elsewhere, or not be readable.
start() { # name runtime options...
    word=$1 runtime=$2
    shift 2
    # shellcheck disable=SC2086
    docker run -d --name "$word" --runtime "$runtime" --network "$network" --label "$label=$tag" \
        --pull never --user 0:0 --workdir / --no-healthcheck --stop-signal TERM --memory "$memory" \
        --log-driver json-file --env LD_PRELOAD= --env LD_LIBRARY_PATH= --env PERL5LIB= --env PERL5OPT= \
        --env RES_OPTIONS='timeout:2 attempts:2' -v "/usr:$tools/usr:ro" "$@" \
        --entrypoint "${perl%% *}" "$image" ${perl#* } -e "$program" serve "$port" "$word" "$((probe_timeout_s + 60))" 2>&1
}

# Old releases refuse docker.sock already when it is mounted, later ones when it is opened.
start_with_socket() { # runtime
    set -- "$1" "$name-$1-$tag" -p "127.0.0.1::$port"
    if said=$(start "$2" "$1" "$3" "$4" -v "/var/run/docker.sock:$tools/docker.sock"); then
        see "$1" start ok
        return 0
    fi
    case "$said" in # any other reason is a failure, and proves nothing
        *"$tools/docker.sock"*)
            docker rm -f "$2" > /dev/null
            if said=$(start "$2" "$1" "$3" "$4"); then
                see "$1" start ok
                see "$1" docker_socket refused
                return 0
            fi
            ;;
    esac
    see "$1" start "$(why_not "$said")"
}

start_peer() {
    if said=$(start "$name-the-peer-$tag" runc --network-alias peer); then return 0; fi
    see 'the peer' start "$(why_not "$said")"
}

# Of what docker said, its error: behind that stands, by version, how to get help.
why_not() {
    reason=$(say "$1" | grep -m 1 -e '^docker: ' -e '^Error response from daemon: ') ||
        reason=$(say "$1" | grep -v -e '^WARNING' -e "^See 'docker " -e "^Run 'docker " -e '^ *$' | tail -n 1)
    say "$reason" | tr -d '\r' | cut -c1-1000
}

start_all() { # sets started: the runtimes whose container runs
    for runtime in $runtimes; do start_with_socket "$runtime" > "$work/start.$runtime" & done
    start_peer > "$work/peer" &
    (RES_OPTIONS='timeout:2 attempts:1' timeout 4 getent ahostsv4 "$external" > "$work/external" || true) &
    wait
    cat "$work/peer"
    started=''
    for runtime in $runtimes; do
        cat "$work/start.$runtime"
        if grep -q "	start	ok$" "$work/start.$runtime"; then started="$started $runtime"; fi
    done
    if [ -s "$work/peer" ]; then exit 1; fi # it has been told why: without it nothing can be proven
    case " $started " in *' runc '*) ;; *) exit 1 ;; esac # nor without the control
}

stop_all() {
    set --
    for runtime in $started; do set -- "$@" "$name-$runtime-$tag"; done
    timeout 40 docker stop -t 10 "$@" > /dev/null || true # how it ended, its state says
    docker inspect --format '{{.HostConfig.Runtime}} {{.State.Status}} {{.State.ExitCode}}' "$@" > "$work/stopped"
    for runtime in $started; do see "$runtime" stop "$(sed -n "s/^$runtime //p" "$work/stopped")"; done
}

why_not_over() {
    todo='run again when the node is less busy'
    if ! timeout -k 1 $((10 + probe_timeout_s / 12)) docker version > /dev/null 2>&1; then
        todo='Docker does not answer any more; mend it, then run again'
    fi
    say "it was not over within $probe_timeout_s s; $todo"
}

exec 7>&1
trap 'fail "$(why_not_over)"' TERM
mkdir -p /run/pyinfra-gvisor
chmod 700 /run/pyinfra-gvisor # whoever can open a lock can hold it
exec 9>> /run/pyinfra-gvisor/probe.lock
flock -w 60 9 || fail 'another proof is running on this node; wait until it has ended, then run again'
find_programs
if [ -n "$image" ] && ! docker image inspect "$image" > /dev/null 2>&1; then
    fail "gvisor_proof_image: no image $image on this node; docker pull it there, nothing is pulled here"
fi
printf '%s\n' "$probe_timeout_s" > /run/pyinfra-gvisor/probe.lock # for those who wait for its end
sweep
trap sweep EXIT
trap 'exit 1' HUP INT
work=$(mktemp -d)
if [ -z "$image" ]; then make_image; fi
docker network create --label "$label=$tag" "$network" > /dev/null
start_all
lead_beyond
see_node
look_at_all
if [ -z "$no_reload" ]; then survive_reload; fi
outlive_restarts
stop_all
