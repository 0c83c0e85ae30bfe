#!/bin/sh
# A dockerd that somebody has started by hand: told to read its file again, started anew just as it
# was, and what it has logged. Read in front of dockerd.sh, whose seconds, within and answers it calls.
# Set before it is read: unit (there is none) timeout_s; before a function is called: work
set -eu
: "${unit?}" "${timeout_s:?}"
service_default_log=/var/log/docker.log

service_reload() {
    service_pid=$(service_pid)
    [ -n "$service_pid" ] && kill -HUP "$service_pid"
}

# Its arguments, environment and so on are kept in $work: after a start that fails there is no process
# left to read them from.
service_restart() {
    service_old=$(service_pid)
    if [ "$service_old" = 1 ]; then return 1; fi # its end would be the end of the container it runs
    if [ -n "$service_old" ]; then service_remember "$service_old"; fi
    if [ ! -s "$work/dockerd.start" ]; then return 1; fi
    rm -f "$work/dockerd.joined"
    service_start &
    service_new=$!
    if within 10 [ -e "$work/dockerd.joined" ]; then service_end "$service_old" || true; fi
    service_until=$(($(seconds) + timeout_s))
    until service_is_up; do
        if [ "$(seconds)" -ge "$service_until" ] || service_died; then
            for service_hung in "-$service_new" "$service_new"; do # with what hangs below it
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

service_quoted() { # words that end in NUL, for a shell
    service_mark=$(printf '\037')
    service_text=$(tr '\000' "$service_mark" | LC_ALL=C sed -e "s/'/'\\\\''/g" -e "s/$service_mark/' '/g")
    if [ -n "$service_text" ]; then printf '%s' "'${service_text% \'}"; fi
}

# In the control groups of the old process while they are there: systemd ends what it finds in those of
# the unit that runs this script. Without the locks that this shell holds: dockerd would keep them.
service_start() {
    trap - HUP INT TERM
    service_join < "$work/dockerd.cgroup"
    : > "$work/dockerd.joined"
    until service_gone "$service_old"; do sleep 0.1; done
    if [ -z "$(service_pid)" ]; then rm -f "$service_pid_file"; fi # of one that was killed
    exec setsid sh "$work/dockerd.start" < /dev/null >> "$service_out" 2>> "$service_err" \
        3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
}

service_join() { # what /proc/<pid>/cgroup lists; a group that is gone makes way for the topmost
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

service_died() { # and nobody else has started another one
    service_found=$(service_pid)
    service_gone "$service_new" && { [ -z "$service_found" ] || [ "$service_found" = "$service_old" ]; }
}

service_pid() { # of the dockerd in the pid file, if it runs
    service_read=''
    if [ -r "$service_pid_file" ]; then read -r service_read < "$service_pid_file" || true; fi
    if grep -qsx dockerd "/proc/${service_read:-none}/comm" && ! service_gone "$service_read"; then
        printf '%s' "$service_read"
    fi
}

service_end() { # pid: asked first, made to after what dockerd gives containers (shutdown-timeout, 15 s)
    if [ -z "$1" ]; then return 0; fi
    kill "$1" || return 0
    within 20 service_gone "$1" && return 0
    kill -KILL "$1" || return 0
    within 10 service_gone "$1"
}

service_gone() { [ ! -e "/proc/${1:-none}/exe" ]; } # a dead process that nobody has collected has none

# A dockerd whose pid file is another. Those in containers do not count, nor does one beside the
# node's own, which needs a directory for its state, or a daemon.json, that is not the usual one.
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

service_pid_file_of() { # pid
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

service_target() { # pid descriptor: the file behind it, if it can be opened again
    service_file=$(readlink "/proc/$1/fd/$2") || service_file=''
    if [ ! -e "$service_file" ]; then service_file=$service_default_log; fi # a pipe, or a terminal that is gone
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
service_log_began=0 # what was logged before is behind us
service_old=$(service_pid)
if [ -z "$service_old" ]; then service_old=$(service_find); fi
if [ -n "$service_old" ]; then
    service_pid_file=$(service_pid_file_of "$service_old")
    service_out=$(service_target "$service_old" 1)
    service_err=$(service_target "$service_old" 2)
fi
if [ -f "$service_err" ]; then service_log_began=$(wc -c < "$service_err"); fi
