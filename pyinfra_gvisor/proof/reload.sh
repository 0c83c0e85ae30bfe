#!/bin/sh
# Reloads dockerd while probe containers run, and observes whether they keep running. Comes after service_*.sh and
# dockerd.sh and plugins.sh, before prove.sh. The caller ensures that dockerd has already read this daemon.json.
# Variables: those of these scripts, file (daemon.json), expect_sha256, state_dir.
set -eu
: "${file:?}" "${expect_sha256:?}" "${state_dir:?}"

answer_s=$((10 + ${probe_timeout_s:?} / 60))

survive_reload() {
    if ! exec 8>> "$state_dir/lock" || ! flock -n 8; then
        spare reload 'daemon.json is being changed by another run'
        return 0
    fi
    sum=$(sha256sum < "$file") || sum=''
    if [ "${sum%% *}" != "$expect_sha256" ]; then
        spare reload 'daemon.json has just changed'
        return 0
    fi
    said='dockerd did not reload'
    if ! plugins_answer after; then said=$reason; elif reload_dockerd; then said=''; fi
    exec 8>&-
    for runtime in $started; do
        lives_on "$runtime" "$said" > "$work/reload.$runtime" &
    done
    wait
    cat "$work"/reload.*
}

lives_on() { # runtime, and the error so far or nothing
    inspected "$1"
    if [ -n "$2" ]; then
        see "$1" reload "$2"
    elif ! within "$answer_s" answers_exec "$1"; then # on a busy node Docker may need some seconds
        see "$1" reload "docker exec: $(why_not "$answer")"
    elif [ "$(docker inspect --format '{{.State.Pid}}' "$name-$1-$tag")" != "$pid" ]; then
        see "$1" reload 'the container was restarted'
    else
        see "$1" reload 'lives on'
    fi
}

answers_exec() { # runtime: sets answer
    # shellcheck disable=SC2086
    answer=$(timeout "$answer_s" docker exec "$name-$1-$tag" $perl -e 'print 6 * 7' 2>&1) || answer=${answer:-nothing, code $?}
    [ "$answer" = 42 ]
}
