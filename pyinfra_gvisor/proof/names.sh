#!/bin/sh
# Observes whether names resolve on a container's own networks only, and still resolve after restarts.
# Comes after proof/containers.sh, before proof/look.sh and prove.sh, which set the other variables.
set -eu

# Connects the peer, and no probe, to another network, where it has an additional name.
lead_beyond() {
    docker network create --label "$label=$tag" "$network-beyond" > /dev/null
    docker network connect --alias beyond "$network-beyond" "$name-the-peer-$tag" || true # the check then observes nothing
}

peers_address() {
    docker inspect --format '{{with index .NetworkSettings.Networks "'"$network"'"}}{{.IPAddress}}{{end}}' "$name-the-peer-$tag" || true
}

named_in() { # container name
    run_in "$1" name "$2" "$port" "$1" || true
}

outlive_restarts() {
    restart_and_resolve peer "$name-the-peer-$tag"
    set --
    for runtime in $named; do set -- "$@" "$name-$runtime-$tag"; done
    restart_and_resolve itself "$@"
    for runtime in $named; do see "$runtime" dns_restart "$(cat "$work/named.$runtime")"; done
}

# Restarts containers, then records what each probe resolves.
restart_and_resolve() { # who containers...
    who=$1
    shift
    for container; do restart_one "$container" & done # the client would restart one after the other
    wait
    is_now=$(peers_address)
    for runtime in $named; do still_named "$runtime" "$who" "$is_now" & done
    wait
}

# Twice: on a busy node runc may fail before the container starts ("waiting for init preliminary setup"). The result of
# the second try is observed.
restart_one() { # container
    timeout 60 docker restart -t 10 "$1" > /dev/null || timeout 60 docker restart -t 10 "$1" > /dev/null || true
}

still_named() { # runtime who address
    found=$(named_in "$name-$1-$tag" "$name-the-peer-$tag")
    if [ -n "$3" ] && [ "$found" = "$3" ]; then found=resolves; else found="$found, not $3, after a restart of $2"; fi
    if [ "$2" = peer ] || grep -qx resolves "$work/named.$1"; then say "$found" > "$work/named.$1"; fi
}
