#!/bin/sh
# Reads Coolify's container, and runs coolify/patch.php in it. Comes before others.
# Variables: patcher (path of coolify/patch.php) or, if the file is not on the host, patcher_b64.
set -u
export LC_ALL=C
coolify_container=coolify
# shellcheck disable=SC2034 # read by others
coolify_source=/data/coolify/source
coolify_timeout_s=120

patcher_text() {
    if [ -n "${patcher_b64:-}" ]; then printf '%s' "$patcher_b64" | base64 -d; else cat "$patcher"; fi
}

# PHP reads the program from standard input: no file stays in the container.
in_coolify() { # verb
    code=0
    patcher_text | timeout -k 5 "$coolify_timeout_s" docker exec -i "$coolify_container" php -- "$@" || code=$?
    # a killed program prints nothing
    case $code in 124 | 137) echo "no answer within $coolify_timeout_s s, or killed" >&2 ;; esac
    return "$code"
}

# Prints these members only: the container's environment has Coolify's passwords.
describe_container() {
    docker container inspect --format \
        '{"Image":{{json .Config.Image}},"Running":{{json .State.Running}},"StartedAt":{{json .State.StartedAt}},"Mounts":{{json .Mounts}}}' \
        "$coolify_container"
}

has_container() {
    [ -n "$(docker ps -aq --no-trunc --filter "name=^/$coolify_container\$")" ]
}

last_line() {
    printf '%s\n' "$1" | tail -n 1 | cut -c1-300
}
