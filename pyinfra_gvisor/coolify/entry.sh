#!/bin/sh
# Patches Coolify so that it passes --runtime on to Docker, before any of its processes starts. It is
# /etc/entrypoint.d/50-pyinfra-gvisor.sh in Coolify's container. The entry point of serversideup/php sources it
# under "set -e"; the entry point's standard input is the list of the scripts that follow. All of this runs in a
# subshell: Coolify must start whatever goes wrong here.
(
    set +eu # despite the "|| :" below, -e would end command substitutions
    patch=/opt/pyinfra-gvisor/patch.php
    limit_s=30

    tell() {
        printf 'pyinfra-gvisor: %s\n' "$*" >&2
    }

    fear() {
        tell "apps may run directly on the host kernel, without the runtime that they ask for: $*"
    }

    # Without a limit this could keep Coolify from starting. KILL, because TERM may be ignored in here.
    attempt() {
        timeout -s KILL "$limit_s" php "$patch" apply --before-start
        printf 'ended with %s\n' "$?"
    }

    if [ ! -r "$patch" ]; then
        fear "$patch does not exist"
        exit 0
    fi
    for program in php timeout; do
        if ! command -v "$program" > /dev/null; then
            fear "$program is not installed in this container"
            exit 0
        fi
    done
    # The reader needs a limit too: a child of the killed php may hold the pipe open.
    told=$(attempt < /dev/null 2>&1 | timeout -s KILL "$((limit_s + 5))" cat)
    reason=$(printf '%s' "${told%ended with *}" | tr '\n' ' ' | cut -c1-400)
    case "$told" in
        *'changed yes'*'ended with 0') tell "Coolify passes --runtime on to Docker from now on" ;;
        *'probe {"runtime":"runscprobe"}'*'ended with 0') tell "Coolify passes --runtime on to Docker already" ;;
        *'ended with 0') fear "Coolify knows --runtime, but does not pass it on as one string" ;;
        *'ended with 124' | *'ended with 137') fear "the patch took more than $limit_s s" ;;
        *) fear "${reason:-the patch gave no reason }(${told##*ended })" ;;
    esac
) || :
