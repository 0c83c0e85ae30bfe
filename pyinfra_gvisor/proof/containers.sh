#!/bin/sh
# Containers of our own, which need no image: they use the node's programs, mounted read-only and started by the node's
# own loader. One run at a time has some, and nothing of them is left. Comes after holder.sh. Variables:
#   probe_timeout_s  the script that uses this one is ended after so many seconds; set by proof/within.sh
#   task             what it does, for messages, such as "the proof"
#   image            empty: an image without files is made
#   program_b64      the program of perl that runs in the containers; empty: they are made without create
#   default          the default runtime if it is ours: its container and the control ask for no runtime
#   by_name          what asks for runc and gets a sandbox; empty: nothing does
#   permits          directory of permits, which only we write: these containers may mount what a seal refuses
#   door_file        the name of the file with the secret that lets requests pass the door; door_header: its header
#   trying           parts with a function <part>_sweeps, which gets the addresses of containers that are removed
set -eu
: "${probe_timeout_s:?}" "${task:?}" "${image?}" "${program_b64?}" "${default?}" "${by_name?}" "${permits:?}" "${door_file:?}" "${door_header:?}" "${trying?}"
export LC_ALL=C
label=pyinfra-gvisor.probe
tag=$$-$(date +%s)
network=pyinfra-gvisor-probe-$tag
name=pyinfra-gvisor-probe # a container is called <name>-<runtime>-<tag>
port=7777
memory=134217728 # bytes: enough for a small sandbox
tools=/.pyinfra-gvisor # where the node's programs are mounted in containers
setuid='' work='' made=''

say() { printf '%s\n' "$*"; }

fail() { # why; what to do
    printf 'node\tended\t%s\n' "$*" >&7 # this script's output, even where stdout is redirected
    exit 1
}

# Tries three times: on a busy node Docker may learn too late that a container has ended, and then refuses to remove
# it ("did not receive an exit event").
remove_containers() {
    for try in 1 2 3; do
        containers=$(docker ps -aq --filter "label=$label")
        # shellcheck disable=SC2086
        if [ -z "$containers" ] || docker rm -f -v $containers > /dev/null; then return 0; fi
        if [ "$try" -lt 3 ]; then sleep 1; fi
    done
    return 1
}

# Removes everything of this run and of killed runs; the lock ensures that no other run is alive. Containers are not
# started with --rm: a restart of dockerd would wait for them.
sweep() {
    wait
    containers=$(docker ps -aq --filter "label=$label") sources=''
    # shellcheck disable=SC2086
    if [ -n "$containers" ]; then
        sources=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' $containers)
        remove_containers
    fi
    rm -rf "$permits" "$permits.new"
    # shellcheck disable=SC2086
    for part in $trying; do "${part}_sweeps" $sources; done
    # Names too: anybody can label a network, and one in use cannot be removed.
    networks=$(docker network ls -q --filter "label=$label" --filter "name=^$name-")
    # shellcheck disable=SC2086
    if [ -n "$networks" ]; then docker network rm $networks > /dev/null || true; fi
    images=$(docker images -q "$name")
    # shellcheck disable=SC2086
    if [ -n "$images" ]; then docker rmi -f $images > /dev/null; fi
    rm -rf /run/pyinfra-gvisor/work.*
}

find_programs() { # sets perl, the command that starts perl in a container
    loader=''
    for path in /lib64/ld-linux-x86-64.so.2 /lib/ld-linux-aarch64.so.1; do
        if [ -e "$path" ]; then loader=$(readlink -f "$path"); fi
    done
    case "$loader" in
        /usr/*) ;;
        *) fail "expected the dynamic loader below /usr, got ${loader:-none}; is /usr merged? See usrmerge" ;;
    esac
    if [ ! -f /usr/bin/perl ] || [ ! -x /usr/bin/perl ]; then fail '/usr/bin/perl does not exist; install perl-base'; fi
    perl="$tools$loader --library-path $tools${loader%/*} $tools/usr/bin/perl"
    # shellcheck disable=SC2016
    for path in $(/usr/bin/perl -e 'print map { "$_\n" } grep { m{^/usr/} } @INC'); do
        perl="$perl -I$tools$path"
    done
    program=$(printf '%s' "$program_b64" | base64 -d)
}

# Makes an image with one setuid program, which finds the loader and libraries in the usual places.
make_image() {
    setuid=/setuid-id image=$name:$tag
    made=$(mktemp -d /run/pyinfra-gvisor/work.XXXXXX)
    mkdir "$made/proc" "$made/sys" "$made/dev" "$made/tmp" "$made/etc" "$made/run"
    for link in lib lib64; do
        if [ -e "/$link" ]; then ln -s "$tools/usr/$link" "$made/$link"; fi
    done
    cp /usr/bin/id "$made$setuid"
    chmod 4755 "$made$setuid"
    tar -C "$made" -c . | docker import --change "LABEL $label=$tag" - "$image" > /dev/null
}

# Overrides everything that an image declares: user, stop signal, and what the loader or perl would read first.
# json-file, because the node's default log driver may send logs elsewhere or be unreadable.
start() { # name runtime options...: with a permit
    create "$@" || return 1
    permit "$created" "$2"
    docker start "$1" 2>&1
}

create() { # name runtime options...: sets created, or prints why not
    word=$1 runtime=$2
    shift 2
    case "$default $runtime" in
        "$runtime $runtime" | ?*' runc') ;;
        *" $by_name") set -- --runtime runc "$@" ;;
        *) set -- --runtime "$runtime" "$@" ;;
    esac
    # shellcheck disable=SC2086
    created=$(docker create --name "$word" --network "$network" --label "$label=$tag" \
        --pull never --user 0:0 --workdir / --no-healthcheck --stop-signal TERM --memory "$memory" \
        --log-driver json-file --env LD_PRELOAD= --env LD_LIBRARY_PATH= --env PERL5LIB= --env PERL5OPT= \
        --env RES_OPTIONS='timeout:2 attempts:2' -v "/usr:$tools/usr:ro" "$@" \
        --entrypoint "${perl%% *}" "$image" ${perl#* } -e "$program" serve "$port" "$word" "$((probe_timeout_s + 60))" 2>&1) ||
        { say "$created" && return 1; }
    created=$(say "$created" | tail -n 1) # after warnings
}

permit() { # id runtime
    case "$2" in runc) may=runc ;; *) may=unsealed ;; esac
    (umask 077 && say "$may" > "$permits/$1")
}

permit_requests() { # the authorization plugin lets requests pass that have this secret in a header
    secret=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
    say "$secret" > "$permits.new/$door_file" && say "{\"HttpHeaders\":{\"$door_header\":\"$secret\"}}" > "$permits.new/client/config.json"
}

# Runs the program of the containers, and prints what it prints. Twice: on a busy node a runtime may give up before the
# process has started. The result of the second try is observed.
run_in() { # container name, and arguments
    in=$1
    shift
    # shellcheck disable=SC2086
    ran=$(docker exec "$in" $perl -e "$program" "$@" 2>&1) || ran=$(docker exec "$in" $perl -e "$program" "$@" 2>&1) ||
        { say "$ran" && return 1; }
    say "$ran"
}

# Prints the error in the output of docker. Some versions print how to get help after it.
why_not() {
    reason=$(say "$1" | grep -m 1 -e '^docker: ' -e '^Error response from daemon: ') ||
        reason=$(say "$1" | grep -v -e '^WARNING' -e "^See 'docker " -e "^Run 'docker " -e '^ *$' | tail -n 1)
    say "$reason" | tr -d '\r' | cut -c1-1000
}

why_not_over() {
    todo='run again when the node is less busy'
    if ! timeout -k 1 $((10 + probe_timeout_s / 12)) docker version > /dev/null 2>&1; then
        todo='Docker does not answer any more; repair Docker, then run again'
    fi
    say "$task did not end within $probe_timeout_s s; $todo"
}

take_lock() { # at most one run has containers
    exec 7>&1
    trap 'fail "$(why_not_over)"' TERM
    mkdir -p /run/pyinfra-gvisor
    chmod 700 /run/pyinfra-gvisor # whoever can open a lock can hold it
    exec 9>> /run/pyinfra-gvisor/probe.lock
    lock=/run/pyinfra-gvisor/probe.lock
    flock -w 60 9 ||
        fail "$(holder "$lock") has held $lock for 60 s: a proof, a measurement, a trial or an audit; wait until it ends, then run again"
}

sweep_and_permit() { # removes what killed runs left, and lets requests of ours pass
    printf '%s\n' "$probe_timeout_s" > /run/pyinfra-gvisor/probe.lock # for processes that wait for the end of this run
    sweep
    trap sweep EXIT
    # Never empty: dockerd copies files of an image into an empty directory that a volume names.
    (umask 077 && rm -rf "$permits.new" && mkdir -p "$permits.new/client" && permit_requests && mv -T "$permits.new" "$permits") ||
        fail "cannot create $permits; find out what else creates it"
    export DOCKER_CONFIG="$permits/client" # from here on dockerd's requests have the permit
    trap 'exit 1' HUP INT
    work=$(mktemp -d /run/pyinfra-gvisor/work.XXXXXX)
}

begin() { # all that create needs
    take_lock
    find_programs
    if [ -n "$image" ] && ! docker image inspect "$image" > /dev/null 2>&1; then
        fail "gvisor_proof_image: this node has no image $image; run docker pull there: a proof pulls nothing"
    fi
    sweep_and_permit
    if [ -z "$image" ]; then make_image; fi
    docker network create --label "$label=$tag" "$network" > /dev/null
}
