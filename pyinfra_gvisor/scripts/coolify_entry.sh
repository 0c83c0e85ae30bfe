#!/bin/sh
# Has Coolify hand --runtime on before anything of it starts. /etc/entrypoint.d/50-pyinfra-gvisor.sh in its
# container, sourced under "set -e" by serversideup/php's entry point, whose standard input is the list of
# the scripts to come. Whatever goes wrong here does so in a subshell: Coolify has to start.
(
    set +eu # it reaches into command substitutions in spite of the "|| :" below
    patch=/opt/pyinfra-gvisor/patch.php
    limit_s=30

    tell() {
        printf 'pyinfra-gvisor: %s\n' "$*" >&2
    }

    fear() {
        tell "apps may run without the runtime that they ask for: $*"
    }

    # Without a limit it could keep Coolify from starting. KILL: whoever started us may ignore TERM.
    attempt() {
        timeout -s KILL "$limit_s" php "$patch" apply --before-start
        printf 'ended with %s\n' "$?"
    }

    if [ ! -r "$patch" ]; then
        fear "$patch is not there"
        exit 0
    fi
    for program in php timeout; do
        if ! command -v "$program" > /dev/null; then
            fear "there is no $program here"
            exit 0
        fi
    done
    # The reader has a limit too: what a killed php has started may hold the pipe.
    told=$(attempt < /dev/null 2>&1 | timeout -s KILL "$((limit_s + 5))" cat)
    reason=$(printf '%s' "${told%ended with *}" | tr '\n' ' ' | cut -c1-400)
    case "$told" in
        *'changed yes'*'ended with 0') tell "Coolify hands --runtime on from now on" ;;
        *'probe {"runtime":"runscprobe"}'*'ended with 0') tell "Coolify hands --runtime on already" ;;
        *'ended with 0') fear "Coolify knows --runtime and does not hand it on as one string" ;;
        *'ended with 124' | *'ended with 137') fear "the patch took more than $limit_s s" ;;
        *) fear "${reason:-the patch did not tell why }(${told##*ended })" ;;
    esac
) || :
