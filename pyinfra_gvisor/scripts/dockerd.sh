#!/bin/sh
# How dockerd is asked, told and watched on a node. Read in front of the script that needs it.
# Set before: timeout_s runtimes live_restore work generation began
set -eu
: "${timeout_s:?}" "${runtimes?}" "${live_restore?}"
restarted=no

docker_quick() { timeout 10 docker "$@"; }

answers() { docker_quick version --format '{{.Server.Version}}' > /dev/null 2>&1; }

within() { # seconds command...: until it succeeds
    end=$(($(date +%s) + $1))
    shift
    until "$@"; do
        if [ "$(date +%s)" -ge "$end" ]; then return 1; fi
        sleep 0.2
    done
}

supervised() { [ -d /run/systemd/system ]; }

# A refused reload changes nothing, and systemctl still says 0. That it was accepted, the daemon says
# by an event, on every version and with every log-level.
reload_dockerd() {
    within 10 answers || return 1 # SIGHUP kills a dockerd that is still starting
    asked=$(date +%s.%N)
    if supervised; then systemctl reload docker; else kill -HUP "$(cat /run/docker.pid)"; fi
    within 15 reloaded || {
        reason="dockerd refused to reload"
        return 1
    }
}

reloaded() {
    events=$(docker_quick events --since "$asked" --until "$(date +%s.%N)" \
        --filter type=daemon --filter event=reload --format '{{.Action}}')
    [ -n "$events" ]
}

restart_dockerd() {
    restarted=yes
    if supervised; then
        # systemd refuses a fourth start within a minute, and ours may be the one too many
        systemctl reset-failed docker || true
        systemctl restart docker
    else
        service docker restart
    fi
}

dockerd_log() {
    if supervised; then
        journalctl -u docker -q -o cat --since "@$began" --no-pager | grep -E 'level=(fatal|error)|failed to|unable to' |
            tail -n 3 | cut -c1-250
    fi
}

identity() {
    pid=''
    read -r pid < /run/docker.pid || [ -n "$pid" ]
    read -r stat < "/proc/$pid/stat"
    # shellcheck disable=SC2086
    set -- ${stat##*) }
    read -r boot < /proc/sys/kernel/random/boot_id
    say "$boot/$pid/${20}"
}

registered() {
    # shellcheck disable=SC2016
    live=" $(docker_quick info --format '{{range $name, $runtime := .Runtimes}}{{$name}}={{$runtime.Path}} {{end}}')"
    for entry in $runtimes; do
        case "$live" in *" $entry "*) ;; *) return 1 ;; esac
    done
}

live_restore_is() { [ "$(docker_quick info --format '{{.LiveRestoreEnabled}}')" = "$1" ]; }

in_force() {
    registered || return 1
    if [ -n "$live_restore" ]; then live_restore_is "$live_restore" || return 1; fi
}

running() { # id pid restart-count, a line a running container
    ids=$(docker_quick ps -q --no-trunc) || return 1
    # shellcheck disable=SC2086
    if [ -n "$ids" ]; then docker_quick inspect --format '{{.Id}} {{.State.Pid}} {{.RestartCount}} {{.Name}}' $ids; fi
}

none_lost() { # every container that ran still runs, as the same process; those in a crash loop apart
    running > "$work/now" || return 1
    while read -r id pid restarts name; do
        if [ "$restarts" -gt 0 ] || grep -q "^$id $pid " "$work/now"; then continue; fi
        lost=${name#/}
        return 1
    done < "$work/running"
}

# Entries with runtimeArgs make dockerd write a script that containers refer to until they end. At
# every start, on 20.10 at every reload too, it drops those that the new configuration does not need.
save_scripts() {
    root=$(docker_quick info --format '{{.DockerRootDir}}') || return 1
    if [ -d "$root/runtimes" ]; then cp -a "$root/runtimes" "$generation/scripts"; fi
}

put_back_scripts() {
    if [ ! -d "$generation/scripts" ]; then return 0; fi
    (cd "$generation/scripts" && find . -type f) | while read -r script; do
        script=${script#./}
        if [ -e "$root/runtimes/$script" ]; then continue; fi
        if grep -qsF "/runtimes/$script" /run/containerd/io.containerd.runtime.v2.task/moby/*/runtime \
            /run/containerd/io.containerd.runtime.v2.task/moby/*/options.json \
            /run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/*/runtime \
            /run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/*/options.json; then
            mkdir -p "$root/runtimes/$(dirname "$script")"
            cp -a "$generation/scripts/$script" "$root/runtimes/$script"
            say "put back $root/runtimes/$script, which a running container needs"
        fi
    done
}
