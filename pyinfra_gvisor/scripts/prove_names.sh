#!/bin/sh
# Whether names go as far as the networks of a container and no further, and outlive restarts. Read in
# front of prove_look.sh and prove.sh, which set what is used here.
set -eu

# Another network, on which the peer is and no probe, under a name that it has there alone.
lead_beyond() {
    docker network create --label "$label=$tag" "$network-beyond" > /dev/null
    docker network connect --alias beyond "$network-beyond" "$name-the-peer-$tag" || true # it is then not seen there
}

peers_address() {
    docker inspect --format '{{with index .NetworkSettings.Networks "'"$network"'"}}{{.IPAddress}}{{end}}' "$name-the-peer-$tag" || true
}

named_in() { # container name
    # shellcheck disable=SC2086
    docker exec "$1" $perl -e "$program" name "$2" 2>&1 || true
}

outlive_restarts() {
    began_anew peer "$name-the-peer-$tag"
    set --
    for runtime in $named; do set -- "$@" "$name-$runtime-$tag"; done
    began_anew itself "$@"
    for runtime in $named; do see "$runtime" dns_restart "$(cat "$work/named.$runtime")"; done
}

# Restarts containers, and writes down what is not as it must be.
began_anew() { # who containers...
    who=$1
    shift
    # On a busy node runc itself may die before a container has begun: "waiting for init preliminary setup". What
    # comes of the second try is seen.
    timeout 60 docker restart -t 10 "$@" > /dev/null || timeout 60 docker restart -t 10 "$@" > /dev/null || true
    is_now=$(peers_address)
    for runtime in $named; do still_named "$runtime" "$who" "$is_now" & done
    wait
}

still_named() { # runtime who address
    found=$(named_in "$name-$1-$tag" "$name-the-peer-$tag")
    if [ -n "$3" ] && [ "$found" = "$3" ]; then found=resolves; else found="$found, not $3, after a restart of $2"; fi
    if [ "$2" = peer ] || grep -qx resolves "$work/named.$1"; then say "$found" > "$work/named.$1"; fi
}
