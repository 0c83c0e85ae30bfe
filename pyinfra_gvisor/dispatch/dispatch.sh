#!/bin/sh
# Hands each call to the runtime of the container: the one that was chosen when Docker created it. Comes after call.sh
# and before the line that starts runsc, for calls that are about no container. Variables: marks (a directory of links
# by container id: to the wrapper for sandboxes, or to "runc"), sandbox (that wrapper), builds (where runsc keeps the
# state of build steps), aside (how the name of runc ends while a program of ours has its place).
: "${marks:?}" "${sandbox:?}" "${builds:?}" "${aside:?}" "${dockers_path?}"

run_runc() { # pyinfra_gvisor_runc: where runc.sh has found runc itself, if it has handed the call on
    found=${pyinfra_gvisor_runc:-}
    unset pyinfra_gvisor_runc
    PATH=$dockers_path
    IFS=:
    for directory in $PATH; do
        if [ -z "$found" ] && [ -f "$directory/runc$aside" ] && [ -x "$directory/runc$aside" ]; then found=$directory/runc$aside; fi
    done
    unset IFS
    if [ -n "$found" ]; then exec "$found" "$@"; fi
    command -v runc > /dev/null || refuse 'runc is not installed, and this container must run under it; install runc'
    exec runc "$@"
}

is_program() { [ -f "$1" ] && [ -x "$1" ]; } # a directory is executable, too

choose() {
    judge "$@"
    target=$sandbox
    if [ "$where" = runc ]; then
        target=runc
    else
        export pyinfra_gvisor_judged="$id" # the sandbox need not judge again: seal.sh
    fi
    if [ "$where" != runc ] && ! is_program "$target"; then refuse "$target is missing or not executable, so this container was not started; run pyinfra-gvisor apply"; fi
    (umask 077 && mkdir -p "$marks" && ln -sfn "$target" "$marks/$id") || refuse "$marks cannot be written; check that it is a directory and that /run has space"
    if [ "$where" = runc ]; then run_runc "$@"; fi
    exec "$target" "$@"
}

go() { # link call...: a link to "runc" leads nowhere, whoever has the place of runc
    link=$1
    shift
    if is_program "$link"; then exec "$link" "$@"; fi
    target=$(readlink "$link")
    if [ "$target" = runc ]; then run_runc "$@"; fi
    refuse "$target is missing or not executable, so this container cannot be reached; run pyinfra-gvisor apply"
}

follow() { # the link of the container, if one of the words is its id
    for word; do
        if [ ! -L "$marks/$word" ]; then continue; fi
        if [ "$command" != delete ]; then go "$marks/$word" "$@"; fi
        (go "$marks/$word" "$@") || exit
        rm -f "$marks/$word"
        exit 0
    done
}

# Without a link, what the runtime keeps on disk tells: google/gvisor, runsc/container/state_file.go.
find_runtime() {
    for word; do
        if [ -e "$root/${word}_sandbox:$word.state" ]; then exec "$sandbox" "$@"; fi
    done
    run_runc "$@"
}

# A call of BuildKit in dockerd. runsc knows no --keep: it forgets a container that has ended, so there is nothing to
# delete then. A step that began under runc, before a program of ours had its place, ends under runc.
build() {
    for id; do if [ "$command" != run ] && [ -e "/run/runc/$id/state.json" ]; then run_runc "$@"; fi; done
    if [ "$command" = delete ]; then
        if [ -e "$builds/${id}_sandbox:$id.state" ]; then "$sandbox" "--root=$builds" delete --force "$id"; fi
        exit 0
    fi
    for word; do
        shift
        if [ "$word" != --keep ]; then set -- "$@" "$word"; fi
    done
    exec "$sandbox" "--root=$builds" "$@"
}

case "$log" in */buildkit/executor/*) build "$@" ;; esac
case "$command" in
    create | run | restore) choose "$@" ;;
    '' | features | list | help | spec) ;;
    *)
        follow "$@"
        find_runtime "$@"
        ;;
esac
