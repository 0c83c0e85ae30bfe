#!/bin/sh
# Asks and watches dockerd. Comes after service_*.sh, before the scripts that use its functions.
# Variables: timeout_s, runtimes, live_restore, default_runtime, work, began; for check_units: unit, units_program,
# restart_units (units that may end, with a space before and after each).
set -eu
: "${timeout_s:?}" "${runtimes?}" "${live_restore?}" "${default_runtime?}"

accepted=no refused=no # whether dockerd has accepted or refused a reload
spared=' ' # names and ids of containers of units that may end, with a space before and after each: a restart may end these

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

kernel_time() { # dockerd's clock, without asking dockerd, which takes ten times as long
    : > "$work/clock"
    stat -c %.9Y "$work/clock"
}

# Lists all reload events. Comparing two such lists works even if the clock is set in between.
reloads() {
    docker_quick events --since 1 --until "$(kernel_time)" \
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

dockerd_runs() { [ -n "$(identity)" ] || service_runs; } # to ask one that does not run would start it: docker.socket

dockerd_program() { # prints the program of the running dockerd: PATH may have another one
    pid='' path=''
    if [ -r /run/docker.pid ]; then read -r pid < /run/docker.pid || true; fi
    if [ -n "$pid" ]; then path=$(readlink "/proc/$pid/exe") || true; fi
    path=${path%' (deleted)'} # a package has replaced it: the next start has the new one
    case "$path" in */dockerd) if [ -f "$path" ] && [ -x "$path" ]; then say "$path" && return 0; fi ;; esac
    say dockerd
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
    if [ -z "$ids" ]; then return 0; fi
    # shellcheck disable=SC2086
    listed=$(docker_quick inspect --format '{{.Id}} {{.State.Pid}} {{.RestartCount}} {{.Name}}' $ids) || return 1
    say "$listed" # fails on a full disk, unlike docker
}

snapshot() {
    running > "$work/all" || return 1
    while read -r container pid restarts name; do
        if ! is_spared "$container" "${name#/}"; then say "$container $pid $restarts $name"; fi
    done < "$work/all" > "$work/running"
}

is_spared() { # id name: true if a client names it, by name or by at least as much of its id as docker ps shows
    case "$spared" in *" $2 "*) return 0 ;; esac
    for named in $spared; do
        if [ "${#named}" -ge 12 ]; then case "$1" in "$named"*) return 0 ;; esac; fi
    done
    return 1
}

# Fails if systemd would end containers together with dockerd; then reason says which. The plan was refused for the
# same, but a unit may have come since.
check_units() {
    spared=' '
    if [ ! -d /run/systemd/system ]; then return 0; fi
    reason="units that depend on dockerd cannot be listed"
    perl -e "$units_program" "$unit" > "$work/units" || return 1
    while read -r _ kind name containers; do
        case "$kind:$restart_units" in
            killed:*) reason="a restart of dockerd would end container $name, whose shim systemd would kill" && return 1 ;;
            attached:*" $name "*) spared="$spared$containers " ;;
            attached:*) reason="a restart of dockerd would end the docker command of $name, and perhaps its container" && return 1 ;;
        esac
    done < "$work/units"
    reason=''
}

# Succeeds if every container that ran still runs as the same process. Containers in a crash loop do not count, nor
# those that ended after the restart by themselves or by others. Otherwise lost says what is wrong with the first one.
none_lost() {
    lost='cannot tell whether containers still run: Docker does not list them, or the disk is full'
    running > "$work/now" || return 1
    while read -r container pid restarts name; do
        if [ "$restarts" -gt 0 ] || grep -q "^$container $pid " "$work/now"; then continue; fi
        if ended_later "$container"; then continue; fi
        lost="container ${name#/} was stopped or restarted"
        return 1
    done < "$work/running"
}

# container: true if it was sent a signal, was removed, or ended with 0, since the new dockerd answers. That dockerd
# does not know earlier events. One that ended before was ended by the restart, or by systemd because of it.
ended_later() {
    if [ ! -s "$work/back" ]; then return 1; fi
    docker_quick events --since "$(cat "$work/back")" --until "$(kernel_time)" --filter "container=$1" \
        --filter event=kill --filter event=destroy --filter event=die \
        --format '{{.Action}} {{.Actor.Attributes.exitCode}}' > "$work/told" || return 1
    grep -qE '^(kill|destroy)|^die 0$' "$work/told"
}

ephemeral() { # prints the names of running containers that a restart of dockerd would end (--rm)
    ids=$(docker_quick ps -q --no-trunc) || return 1
    if [ -z "$ids" ]; then return 0; fi
    # shellcheck disable=SC2086
    found=$(docker_quick inspect --format '{{.Id}} {{if .HostConfig.AutoRemove}}{{.Name}}{{end}}' $ids) || {
        # 1: one of them is no longer there. Every other one must have been described.
        [ $? = 1 ] && still=$(docker_quick ps -q --no-trunc) || return 1
        for container in $still; do
            case "$ids" in *"$container"*) case "$found" in *"$container"*) ;; *) return 1 ;; esac ;; esac
        done
    }
    before=''
    for name in $found; do
        case "$name" in /*) ;; *) container=$name && continue ;; esac
        if ! is_spared "$container" "${name#/}"; then printf '%s%s' "$before" "${name#/}" && before=' '; fi
    done
}

no_ephemeral() { names=$(ephemeral) && [ -z "$names" ]; }
