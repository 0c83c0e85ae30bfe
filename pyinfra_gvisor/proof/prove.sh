#!/bin/sh
# Starts a probe container under each runtime and prints what is observed from outside and inside, one
# "subject<TAB>observation<TAB>value" a line. Python judges the observations. Comes after proof/containers.sh,
# proof/names.sh and proof/look.sh. Variables:
#   runtimes         names; runc is the negative control
#   offline, named   those without a network, and those that resolve Docker's names
#   sealed           those that must refuse a probe without a permit
#   external         a host name outside Docker
#   verdicts         the program that says whether a container is sandboxed
#   no_reload        why dockerd must not be reloaded; if empty, proof/reload.sh comes before this
#   trying           parts whose proof.sh comes before this. Calls <part>_begins before containers are observed,
#                    <part>_tries for each of them, then <part>_ends
set -eu
: "${runtimes:?}" "${offline?}" "${named?}" "${sealed?}" "${external:?}" "${verdicts:?}" "${no_reload?}" "${trying?}"

# Old releases of runsc refuse to mount docker.sock; later ones refuse to open it.
start_with_socket() { # runtime
    set -- "$1" "$name-$1-$tag" -p "127.0.0.1::$port"
    if said=$(start "$2" "$1" "$3" "$4" -v "$docker_socket:$tools/docker.sock"); then
        see "$1" start ok
        return 0
    fi
    case "$said" in # any other reason is a failure
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

# Tries to start a probe without a permit. Only the seal's own words show that the seal refused it.
start_sealed() { # runtime
    word=$name-$1-sealed-$tag
    if said=$(create "$word" "$1" && docker start "$word" 2>&1); then
        see "$1" sealed allowed
        return 0
    fi
    case "$said" in
        *'pyinfra-gvisor: '*'mount of /usr on '*) see "$1" sealed refused ;;
        *) see "$1" sealed.error "$(why_not "$said")" ;;
    esac
}

start_peer() {
    if said=$(start "$name-the-peer-$tag" runc --network-alias peer); then return 0; fi
    see 'the peer' start "$(why_not "$said")"
}

start_all() { # sets started to the runtimes whose container runs, and leaves only those in named
    for runtime in $runtimes; do start_with_socket "$runtime" > "$work/start.$runtime" & done
    for runtime in $sealed; do start_sealed "$runtime" > "$work/sealed.$runtime" & done
    start_peer > "$work/peer" &
    (RES_OPTIONS='timeout:2 attempts:1' timeout 4 getent ahostsv4 "$external" > "$work/external" || true) &
    wait
    cat "$work/peer"
    for runtime in $sealed; do cat "$work/sealed.$runtime"; done
    started='' asked=$named named=''
    for runtime in $runtimes; do
        cat "$work/start.$runtime"
        grep -q "	start	ok$" "$work/start.$runtime" || continue
        started="$started $runtime"
        case " $asked " in *" $runtime "*) named="$named $runtime" ;; esac
    done
    if [ -s "$work/peer" ]; then exit 1; fi # nothing can be proven without the peer; the reason is printed
    case " $started " in *' runc '*) ;; *) exit 1 ;; esac # nor without runc, the control
    see runc sealed allowed # it mounts the same
}

stop_all() {
    set --
    for runtime in $started; do set -- "$@" "$name-$runtime-$tag"; done
    timeout 40 docker stop -t 10 "$@" > /dev/null || true # its state says how it ended
    docker inspect --format '{{.Name}} {{.State.Status}} {{.State.ExitCode}}' "$@" > "$work/stopped"
    for runtime in $started; do see "$runtime" stop "$(sed -n "s/^\/$name-$runtime-$tag //p" "$work/stopped")"; done
}

begin
start_all
lead_beyond
see_node
look_at_all
if [ -z "$no_reload" ]; then survive_reload; fi
outlive_restarts
stop_all
