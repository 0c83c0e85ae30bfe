#!/bin/sh
# Prints every container, running or not, with the runtime that it asks for. Changes nothing. Fails if Docker does
# not describe all of them; containers that are removed meanwhile do not count.
runtime_users() {
    listed=$(docker ps -aq --no-trunc) || return 1
    for asking in $listed; do
        if docker inspect --format '[{{json .Name}},{{json .State.Running}},{{json .HostConfig.Runtime}}]' "$asking"; then continue; fi
        listed=$(docker ps -aq --no-trunc) || return 1
        case "$listed" in *"$asking"*) return 1 ;; esac
    done
}
