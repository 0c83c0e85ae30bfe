#!/bin/sh
# How Coolify's container is looked at and worked on. Read in front of others.
# Set before: patcher, the path of coolify_patch.php or, where it is not on the host, patcher_b64.
set -u
export LC_ALL=C
coolify_container=coolify
# shellcheck disable=SC2034 # read by others
coolify_source=/data/coolify/source
coolify_timeout_s=120

patcher_text() {
    if [ -n "${patcher_b64:-}" ]; then printf '%s' "$patcher_b64" | base64 -d; else cat "$patcher"; fi
}

# The program goes in through standard input: nothing of it stays in the container.
in_coolify() { # verb
    code=0
    patcher_text | timeout -k 5 "$coolify_timeout_s" docker exec -i "$coolify_container" php -- "$@" || code=$?
    # what is killed says nothing
    case $code in 124 | 137) echo "no answer within $coolify_timeout_s s, or killed" >&2 ;; esac
    return "$code"
}

# Only what is named here leaves the host: a container's environment has Coolify's passwords.
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
