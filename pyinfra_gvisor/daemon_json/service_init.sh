#!/bin/sh
# dockerd as a service of sysvinit or OpenRC: reload, restart and log. Comes before dockerd.sh, whose functions
# seconds, within and answers it uses. Variables: unit (empty here), timeout_s.
set -eu
: "${unit?}" "${timeout_s:?}"
service_log_file=/var/log/docker.log
if [ ! -e "$service_log_file" ] && [ -e /var/log/docker ]; then service_log_file=/var/log/docker; fi
service_log_began=0 # bytes of log from before this run
if [ -f "$service_log_file" ]; then service_log_began=$(wc -c < "$service_log_file"); fi

service_name() { printf '%s\n' "$service_log_file"; }

service_reload() { # Debian's init script has no reload
    service_pid=$(service_pid)
    [ -n "$service_pid" ] && kill -HUP "$service_pid"
}

service_runs() { [ -n "$(service_pid)" ]; }

service_delay_retries() { true; } # nobody starts it again

service_restore_retries() { true; }

service_restart() {
    service_old=$(service_pid) service_before=" $(service_processes) "
    service_until=$(($(seconds) + timeout_s))
    service_do restart
    # An init script that has lost track of dockerd stops nothing, and still succeeds.
    if [ -n "$service_old" ] && [ "$(service_pid)" = "$service_old" ]; then
        service_end "$service_old" || true
        service_do start
    fi
    service_seen=$(seconds)
    until service_is_up; do
        service_hung=$(service_newborn) service_now=$(seconds)
        if [ -n "$service_hung" ]; then service_seen=$service_now; fi
        # for a moment after the end of the script, dockerd may not have started yet
        if [ "$service_now" -ge "$service_until" ] || [ "$service_now" -gt $((service_seen + 2)) ]; then
            for service_hung in $service_hung; do kill -KILL "$service_hung" || true; done
            return 1
        fi
        sleep 0.1
    done
}

# Closes the locks that this shell holds, resets the signals that it ignores, and leaves out what is set for our own
# commands: dockerd would inherit all of it. (PATH stays: init scripts set their own.)
service_do() { # action for the init script; its exit status is ignored, as what runs afterwards counts
    if [ -e /run/openrc ]; then set -- rc-service docker "$1"; else set -- service docker "$1"; fi
    (
        trap - HUP INT TERM
        unset DOCKER_HOST DOCKER_CONFIG LC_ALL
        exec timeout "$timeout_s" "$@"
    ) < /dev/null > /dev/null 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- || true
}

service_is_up() {
    service_new=$(service_pid)
    [ -n "$service_new" ] && [ "$service_new" != "$service_old" ] && answers
}

service_pid() { # prints the pid in dockerd's pid file, if that process runs
    service_read=''
    if [ -r /run/docker.pid ]; then read -r service_read < /run/docker.pid || true; fi
    case " $(service_processes) " in *" $service_read "*) printf '%s' "$service_read" ;; esac
}

service_newborn() { # prints pids of dockerds that did not run before
    for service_found in $(service_processes); do
        case "$service_before" in *" $service_found "*) ;; *) printf '%s ' "$service_found" ;; esac
    done
}

# Prints pids of all dockerds: one that hangs at its start has no pid file yet. Those in containers and zombies do
# not count.
service_processes() {
    service_space=$(readlink /proc/self/ns/pid)
    for service_found in /proc/[0-9]*; do
        service_comm=''
        { read -r service_comm < "$service_found/comm"; } 2> /dev/null || continue
        if [ "$service_comm" != dockerd ] || [ ! -e "$service_found/exe" ]; then continue; fi
        if [ "$(readlink "$service_found/ns/pid")" = "$service_space" ]; then printf '%s ' "${service_found#/proc/}"; fi
    done
}

service_end() { # pid: TERM, then KILL after 20 s: dockerd gives its containers 15 s (shutdown-timeout)
    kill "$1" || return 0
    within 20 service_gone "$1" && return 0
    kill -KILL "$1" || return 0
    within 10 service_gone "$1"
}

service_gone() { [ ! -e "/proc/$1/exe" ]; } # a zombie has no exe either

service_log() {
    if [ ! -f "$service_log_file" ]; then return 0; fi
    if [ "$(wc -c < "$service_log_file")" -lt "$service_log_began" ]; then service_log_began=0; fi # rotated
    tail -c "+$((service_log_began + 1))" "$service_log_file" |
        grep -E 'level=(fatal|error)|failed to|unable to' | tail -n 3
}
