#!/bin/sh
# Hands each call to the runtime of the container: the one that was chosen when Docker created it. Comes after call.sh
# and before the line that starts runsc, for calls that are about no container. Variables: marks (a directory of links
# to the chosen runtimes, by container id), sandbox (the wrapper for sandboxes).
: "${marks:?}" "${sandbox:?}"

choose() {
    judge "$@"
    target=$sandbox
    if [ "$where" = runc ]; then
        target=$(command -v runc) || refuse 'runc is not installed, and this container must run under it; install runc'
    else
        export pyinfra_gvisor_judged="$id" # the sandbox need not judge again: seal.sh
    fi
    if [ ! -x "$target" ]; then refuse "$target is missing or not executable, so this container was not started; run pyinfra-gvisor apply"; fi
    (umask 077 && mkdir -p "$marks" && ln -sfn "$target" "$marks/$id") || refuse "$marks cannot be written; check that it is a directory and that /run has space"
    exec "$target" "$@"
}

follow() { # the link of the container, if one of the words is its id
    for word; do
        if [ ! -L "$marks/$word" ]; then continue; fi
        if [ "$command" != delete ]; then exec "$marks/$word" "$@"; fi
        "$marks/$word" "$@" || exit
        rm -f "$marks/$word"
        exit 0
    done
}

# Without a link, what the runtime keeps on disk tells: google/gvisor, runsc/container/state_file.go.
find_runtime() {
    for word; do
        if [ -e "$root/${word}_sandbox:$word.state" ]; then exec "$sandbox" "$@"; fi
    done
    exec runc "$@"
}

case "$command" in
    create | run | restore) choose "$@" ;;
    '' | features | list | help | spec) ;;
    *)
        follow "$@"
        find_runtime "$@"
        ;;
esac
