#!/bin/sh
# Asks and watches dockerd. Comes after service_*.sh, before the scripts that use its functions.
# Variables: timeout_s, runtimes, live_restore, default_runtime, work, began.
set -eu
: "${timeout_s:?}" "${runtimes?}" "${live_restore?}" "${default_runtime?}"

accepted=no refused=no # whether dockerd has accepted or refused a reload

docker_quick() { timeout 10 docker "$@"; }

answers() { docker_quick version --format '{{.Server.Version}}' > /dev/null 2>&1; }

seconds() { # since boot, so that setting the clock changes nothing
    read -r up _ < /proc/uptime
    printf '%s\n' "${up%.*}"
}

within() { # seconds command...: repeats the command until it succeeds; fails after that time
    end=$(($(seconds) + $1))
    shift
    until "$@"; do
        if [ "$(seconds)" -ge "$end" ]; then return 1; fi
        sleep 0.2 # each look costs as much
    done
}

# systemctl returns 0 even if dockerd refuses to reload, which changes nothing. If dockerd accepts, it emits an
# event, in every version and with every log level. If it was restarted instead, it has read the file too.
reload_dockerd() {
    within 10 answers || return 1 # SIGHUP kills a dockerd that is still starting
    process=$(identity)
    reloads > "$work/reloads" || return 1
    service_reload || true # the event counts
    within 15 reloaded || {
        reason="dockerd refused to reload" refused=yes
        return 1
    }
    accepted=yes
}

dockerd_time() { docker_quick info --format '{{.SystemTime}}'; }

# Lists all reload events. Comparing two such lists works even if the clock is set in between.
reloads() {
    docker_quick events --since 1 --until "$(dockerd_time)" \
        --filter type=daemon --filter event=reload --format '{{.TimeNano}}'
}

reloaded() {
    if [ "$(identity)" != "$process" ]; then
        answers
        return
    fi
    reloads > "$work/reloads.now" && grep -qvxFf "$work/reloads" "$work/reloads.now"
}

identity() { # prints "boot/pid/start" of dockerd's process; nothing if it does not run
    pid='' stat=''
    if [ -r /run/docker.pid ]; then read -r pid < /run/docker.pid || [ -n "$pid" ] || return 0; fi
    if [ -r "/proc/${pid:-none}/stat" ]; then read -r stat < "/proc/$pid/stat" || true; fi
    if [ -z "$stat" ]; then return 0; fi
    # shellcheck disable=SC2086
    set -- ${stat##*) }
    read -r boot < /proc/sys/kernel/random/boot_id
    say "$boot/$pid/${20}"
}

in_force() {
    # shellcheck disable=SC2016
    shown=$(docker_quick info --format '{{.LiveRestoreEnabled}} {{.DefaultRuntime}} {{range $name, $runtime := .Runtimes}}{{$name}}={{$runtime.Path}} {{end}}') || return 1
    for entry in $runtimes; do
        case " $shown" in *" $entry "*) ;; *) return 1 ;; esac
    done
    case "$shown" in "${live_restore:-${shown%% *}} "*) ;; *) return 1 ;; esac
    shown=${shown#* }
    case "$shown" in "${default_runtime:-${shown%% *}} "*) ;; *) return 1 ;; esac
}

live_restore_is() { [ "$(docker_quick info --format '{{.LiveRestoreEnabled}}')" = "$1" ]; }

running() { # prints "id pid restart-count name" for each running container
    ids=$(docker_quick ps -q --no-trunc) || return 1
    # shellcheck disable=SC2086
    if [ -n "$ids" ]; then docker_quick inspect --format '{{.Id}} {{.State.Pid}} {{.RestartCount}} {{.Name}}' $ids; fi
}

snapshot() { dockerd_time > "$work/since" && running > "$work/running"; }

# Succeeds if every container that ran still runs as the same process. Containers in a crash loop do not count, nor
# those that somebody has stopped or removed in the meantime. Otherwise lost is the name of the first one.
none_lost() {
    lost=''
    running > "$work/now" || return 1
    while read -r container pid restarts name; do
        if [ "$restarts" -gt 0 ] || grep -q "^$container $pid " "$work/now"; then continue; fi
        if ended_by_others "$container"; then continue; fi
        lost=${name#/}
        return 1
    done < "$work/running"
}

ended_by_others() { # container: true if it was removed or sent a signal. One that dockerd loses gets none
    if ! docker_quick inspect --format '{{.Id}}' "$1" > /dev/null 2>&1; then
        answers
        return
    fi
    told=$(docker_quick events --since "$(cat "$work/since")" --until "$(dockerd_time)" \
        --filter "container=$1" --filter event=kill --format '{{.Action}}') || return 1
    [ -n "$told" ]
}

ephemeral() { # prints the names of running containers that a restart of dockerd would end (--rm)
    ids=$(docker_quick ps -q) || return 1
    # shellcheck disable=SC2086
    if [ -n "$ids" ]; then
        docker_quick inspect --format '{{if .HostConfig.AutoRemove}}{{.Name}}{{end}}' $ids | grep . | tr -d / | tr '\n' ' ' | sed 's/ $//' || true
    fi
}

no_ephemeral() { names=$(ephemeral) && [ -z "$names" ]; }
