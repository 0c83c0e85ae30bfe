#!/bin/sh
# A dockerd that was started by hand: reload, restart in the same way, and log. Comes before dockerd.sh, whose
# functions seconds, within and answers it uses. Variables: unit (empty here), timeout_s; for its functions: work.
set -eu
: "${unit?}" "${timeout_s:?}"
service_default_log=/var/log/docker.log

service_reload() {
    service_pid=$(service_pid)
    [ -n "$service_pid" ] && kill -HUP "$service_pid"
}

service_runs() { [ -n "$(service_pid)" ]; }

service_delay_retries() { true; } # nobody starts it again

service_restore_retries() { true; }

# Keeps arguments, environment and so on in $work: after a failed start there is no process to read them from.
service_restart() {
    service_old=$(service_pid)
    if [ "$service_old" = 1 ]; then return 1; fi # dockerd is PID 1 of a container, which would end with it
    if [ -n "$service_old" ]; then service_remember "$service_old"; fi
    if [ ! -s "$work/dockerd.start" ]; then return 1; fi
    rm -f "$work/dockerd.joined"
    service_start &
    service_new=$!
    if within 10 [ -e "$work/dockerd.joined" ]; then service_end "$service_old" || true; fi
    service_until=$(($(seconds) + timeout_s))
    until service_is_up; do
        if [ "$(seconds)" -ge "$service_until" ] || service_died; then
            for service_hung in "-$service_new" "$service_new"; do # with its children
                kill -s KILL -- "$service_hung" 2> /dev/null || true
            done
            return 1
        fi
        sleep 0.1
    done
}

service_remember() { # pid
    service_umask=$(umask)
    umask 077 # an environment may hold secrets
    {
        printf 'umask 022\ncd -- %s || cd /\n' "$(readlink "/proc/$1/cwd" | tr '\n' '\000' | service_quoted)"
        while read -r service_what service_of service_kind service_soft service_hard _; do
            case "$service_what $service_of $service_kind" in
                "Max open files") printf 'ulimit -n %s && ulimit -S -n %s\n' "$service_hard" "$service_soft" ;;
            esac
        done < "/proc/$1/limits"
        printf 'exec env -i %s %s\n' "$(service_quoted < "/proc/$1/environ")" "$(service_quoted < "/proc/$1/cmdline")"
    } > "$work/dockerd.start"
    cat "/proc/$1/cgroup" > "$work/dockerd.cgroup"
    umask "$service_umask"
}

service_quoted() { # quotes NUL-terminated words from standard input for a shell
    service_mark=$(printf '\037')
    service_text=$(tr '\000' "$service_mark" | LC_ALL=C sed -e "s/'/'\\\\''/g" -e "s/$service_mark/' '/g")
    if [ -n "$service_text" ]; then printf '%s' "'${service_text% \'}"; fi
}

# Joins the old process' control groups while they exist: systemd kills what is in the groups of the unit that runs
# this script. Closes the locks that this shell holds: dockerd would keep them.
service_start() {
    trap - HUP INT TERM
    service_join < "$work/dockerd.cgroup"
    : > "$work/dockerd.joined"
    until service_gone "$service_old"; do sleep 0.1; done
    if [ -z "$(service_pid)" ]; then rm -f "$service_pid_file"; fi # left by a killed dockerd
    exec setsid sh "$work/dockerd.start" < /dev/null >> "$service_out" 2>> "$service_err" \
        3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
}

service_join() { # joins the groups on standard input (/proc/<pid>/cgroup), or the root group if one is gone
    while IFS=: read -r service_number service_kind service_group; do
        service_root=/sys/fs/cgroup/${service_kind#name=}
        if [ "$service_number" = 0 ] && [ ! -e "$service_root/cgroup.procs" ]; then service_root=$service_root/unified; fi
        for service_procs in "$service_root$service_group/cgroup.procs" "$service_root/cgroup.procs"; do
            if [ -w "$service_procs" ] && echo 0 > "$service_procs"; then break; fi
        done 2> /dev/null
    done
}

service_is_up() {
    service_found=$(service_pid)
    [ -n "$service_found" ] && [ "$service_found" != "$service_old" ] && answers
}

service_died() { # true if the new dockerd ended, and nobody has started another one
    service_found=$(service_pid)
    service_gone "$service_new" && { [ -z "$service_found" ] || [ "$service_found" = "$service_old" ]; }
}

service_pid() { # prints the pid in dockerd's pid file, if that is a running dockerd
    service_read=''
    if [ -r "$service_pid_file" ]; then read -r service_read < "$service_pid_file" || true; fi
    if grep -qsx dockerd "/proc/${service_read:-none}/comm" && ! service_gone "$service_read"; then
        printf '%s' "$service_read"
    fi
}

service_end() { # pid: TERM, then KILL after 20 s: dockerd gives its containers 15 s (shutdown-timeout)
    if [ -z "$1" ]; then return 0; fi
    kill "$1" || return 0
    within 20 service_gone "$1" && return 0
    kill -KILL "$1" || return 0
    within 10 service_gone "$1"
}

service_gone() { [ ! -e "/proc/${1:-none}/exe" ]; } # a zombie has no exe either

# Prints the pid of a dockerd with another pid file. Those in containers do not count. A second dockerd beside the
# node's own does not count either: it needs its own --exec-root or --config-file.
service_find() {
    for service_found in /proc/[0-9]*; do
        if grep -qsx dockerd "$service_found/comm" && ! service_gone "${service_found#/proc/}" &&
            [ "$(readlink "$service_found/ns/pid")" = "$(readlink /proc/self/ns/pid)" ] &&
            ! grep -qsE -e '--(exec-root|config-file)' "$service_found/cmdline"; then
            printf '%s' "${service_found#/proc/}"
            return 0
        fi
    done
}

service_pid_file_of() { # pid: prints the path of its pid file
    tr '\000' '\n' < "/proc/$1/cmdline" | {
        service_file=/run/docker.pid service_next=''
        while IFS= read -r service_word; do
            case "$service_next$service_word" in
                file*) service_file=$service_word ;;
                --pidfile=* | -p=*) service_file=${service_word#*=} ;;
                -p?*) service_file=${service_word#-p} ;;
            esac
            case "$service_word" in --pidfile | -p) service_next='file' ;; *) service_next='' ;; esac
        done
        printf '%s\n' "$service_file"
    }
}

service_target() { # pid, descriptor: prints the file that it writes to, if that can be opened again
    service_file=$(readlink "/proc/$1/fd/$2") || service_file=''
    if [ ! -e "$service_file" ]; then service_file=$service_default_log; fi # a pipe or a closed terminal
    printf '%s\n' "$service_file"
}

service_name() { printf '%s\n' "$service_err"; }

service_log() {
    if [ ! -f "$service_err" ]; then return 0; fi
    if [ "$(wc -c < "$service_err")" -lt "$service_log_began" ]; then service_log_began=0; fi # rotated
    tail -c "+$((service_log_began + 1))" "$service_err" |
        grep -E 'level=(fatal|error)|failed to|unable to' | tail -n 3
}

service_pid_file=/run/docker.pid service_out=$service_default_log service_err=$service_default_log
service_log_began=0 # bytes of log from before this run
service_old=$(service_pid)
if [ -z "$service_old" ]; then service_old=$(service_find); fi
if [ -n "$service_old" ]; then
    service_pid_file=$(service_pid_file_of "$service_old")
    service_out=$(service_target "$service_old" 1)
    service_err=$(service_target "$service_old" 2)
fi
if [ -f "$service_err" ]; then service_log_began=$(wc -c < "$service_err"); fi
