#!/bin/sh
# Asks Docker for three things that change the node before a container starts. Read before proof/look.sh and prove.sh,
# which set the other variables used here. Variables: door_stranger (a directory of settings for docker without the
# permit of the proof).
set -eu
: "${door_stranger:?}"

judge_sweeps() { # addresses of probes
    volumes=$(docker volume ls -q --filter "label=$label")
    # shellcheck disable=SC2086
    if [ -n "$volumes" ]; then docker volume rm $volumes > /dev/null; fi
}

judge_begins() {
    door_asks stranger "$door_stranger" > "$work/door"
    door_asks proof "$DOCKER_CONFIG" > "$work/no-door"
}

door_asks() { # who, and settings for docker: prints what was done
    at=$work/door-$1 box=$name-door-box-$1-$tag volume=$name-door-$1-$tag
    mkdir -p "$at/archive" "$at/volume"
    docker create --label "$label=$tag" --name "$box" -v "$at/archive:/at" "$image" /at > /dev/null
    said=$(docker --config "$2" create --label "$label=$tag" --name "$name-door-$1-$tag" -v "$at/bind:/at" "$image" /at 2>&1) || :
    door_done bind "$said" "$at/bind"
    said=$(docker --config "$2" volume create --label "$label=$tag" -o type=none -o o=bind -o "device=$at/volume" "$volume" 2>&1) || :
    door_done volume "$said"
    said=$(docker --config "$2" cp "$work/external" "$box:/at/file" 2>&1) || :
    door_done archive "$said" "$at/archive/file"
}

door_done() { # what, what docker said, and what it must not have made
    case "$2" in
        *'authorization denied by plugin pyinfra-gvisor: '*) did=refused ;;
        *rror* | *denied*) did=$(say "$2" | tail -n 1 | cut -c1-150) ;;
        *) did='done' ;;
    esac
    if [ "$did" = refused ] && [ -n "${3:-}" ] && [ -e "$3" ]; then did='refused, and done'; fi
    say "$1 $did"
}

judge_tries() { :; } # runtime

judge_ends() {
    for runtime in $started; do
        seen=$work/door
        if [ "$runtime" = runc ]; then seen=$work/no-door; fi
        see "$runtime" door "$(tr '\n\t' ', ' < "$seen" | cut -c1-300)"
    done
}
