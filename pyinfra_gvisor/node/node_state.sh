#!/bin/sh
# Prints everything that a deploy decides on, one "key value" a line. Changes nothing. Starts few processes, to
# cost a small node little time.
# Variables: textfile_dir and proof_image (a directory and an image to check for; may be empty), parts (functions
# that print the state of parts), units_program (units.pl).
set -u
export LC_ALL=C
daemon_json=/etc/docker/daemon.json
state_dir=/var/lib/pyinfra-gvisor
pid_file=/run/docker.pid

line() { # key file: prints the first line of a file that can be read
    if [ -r "$2" ] && IFS= read -r content < "$2"; then printf "%s %s\n" "$1" "$content"; fi
}

files_of() { # part paths...: prints checksum, mode and owner of those that exist
    part=$1
    shift
    for path; do
        shift
        if [ -f "$path" ]; then set -- "$@" "$path"; fi
    done
    if [ $# = 0 ]; then return 0; fi
    sha256sum -- "$@" | while read -r sum path; do printf '%s sum %s %s\n' "$part" "$sum" "$path"; done
    stat -c "$part stat %a:%u:%g %n" -- "$@"
}

is_script() { # path: the shell would read a program byte by byte up to its first newline
    [ "$(head -c 2 -- "$1")" = '#!' ]
}

active_of() { # key unit: prints later whether the unit is active; one process asks for all units
    active="$active$2 $1
"
}

active_units() {
    if [ -z "$active" ]; then return 0; fi
    set --
    while read -r asked key; do if [ -n "$asked" ]; then set -- "$@" "$asked"; fi; done << END
$active
END
    systemctl is-active "$@" | { # one line for each, in their order: systemctl(1)
        while read -r asked key; do
            if [ -z "$asked" ]; then continue; fi
            state=''
            read -r state <&3
            printf "%s %s\n" "$key" "$state"
        done << END
$active
END
    } 3<&0
}

timer_of() { # part paths...: prints the same of its program and its units, and whether its timer runs
    unit_of_timer=/etc/systemd/system/pyinfra-gvisor-$1
    files_of "$@" "$unit_of_timer.service" "$unit_of_timer.timer"
    if [ -L "${unit_of_timer%/*}/timers.target.wants/${unit_of_timer##*/}.timer" ]; then printf "%s enabled yes\n" "$1"; fi
    if [ -f "$unit_of_timer.timer" ]; then active_of "$1 timer" "${unit_of_timer##*/}.timer"; fi
}

# Prints why the kernel has no core scheduling, if it has none: prctl(2), PR_SCHED_CORE. Argument: the machine, as
# loading perl's own %Config takes longer than everything else.
# shellcheck disable=SC2016 # this is perl
core_scheduling='
my $prctl = { x86_64 => 157, aarch64 => 167 }->{$ARGV[0]} // exit;
my $cookie = "\0" x 8;
print "no_core_scheduling $!\n" if syscall($prctl, 62, 0, 0, 0, $cookie);
'

machine() {
    kernel=$(uname -m -r)
    printf "uname %s\n" "$kernel"
    printf "page_size %s\n" "$(getconf PAGESIZE)"
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then echo "cgroup 2"; else echo "cgroup 1"; fi
    line init /proc/1/comm
    # With cat: dash reads byte by byte, and /proc/sys returns the first byte of a number only.
    if [ -r /proc/sys/user/max_user_namespaces ]; then
        printf "max_user_namespaces %s\n" "$(cat /proc/sys/user/max_user_namespaces)"
    fi
    line boot_id /proc/sys/kernel/random/boot_id
    uid=''
    while read -r key _ uid _; do if [ "$key" = Uid: ]; then break; fi; done < /proc/self/status
    if [ "$uid" = 0 ]; then echo "user root"; else printf "user %s\n" "$(id -un)"; fi
    if command -v perl > /dev/null; then perl -e "$core_scheduling" "${kernel##* }"; fi
    if [ -r /etc/os-release ]; then
        (
            # shellcheck source=/dev/null
            . /etc/os-release
            printf "os %s %s %s\n" "${ID:-unknown}" "${VERSION_ID:-unknown}" "${VERSION_CODENAME:-unknown}"
        )
    fi
}

dockerd_process() {
    pid='' comm=''
    if [ -r "$pid_file" ]; then read -r pid < "$pid_file" || [ -n "$pid" ]; fi
    if [ -r "/proc/${pid:-none}/comm" ]; then read -r comm < "/proc/$pid/comm"; fi
    if [ "$comm" != dockerd ]; then
        pid=''
    else
        read -r stat < "/proc/$pid/stat"
        # after "(comm)" the 20th field is the start time, in ticks since boot: proc_pid_stat(5)
        # shellcheck disable=SC2086
        set -- ${stat##*) }
        printf "dockerd %s %s %s\n" "$pid" "${20}" "$(base64 -w0 < "/proc/$pid/cmdline")"
        # ticks count from the boot, whose time /proc/stat has in whole seconds only
        read -r uptime _ < /proc/uptime
        printf "clock %s %s\n" "$(date +%s.%N)" "$uptime"
    fi
}

# Finds the systemd unit of dockerd by its control group: cgroups(7). A dockerd that was started by hand is in the
# group of ssh.service or of a session, so the unit must also start dockerd.
unit_of_dockerd() {
    unit=''
    while IFS=: read -r hierarchy controllers group; do
        case "$hierarchy:$controllers" in 0: | *:name=systemd) ;; *) continue ;; esac
        case "$group" in */user@*) continue ;; *.service | *.service/*) ;; *) continue ;; esac
        group=${group%.service*}.service
        if starts_dockerd "${group##*/}"; then unit=${group##*/}; fi
    done < "/proc/$pid/cgroup"
}

starts_dockerd() { # unit
    case "$1" in *docker*) return 0 ;; esac
    for directory in /etc/systemd/system /run/systemd/system /run/systemd/transient /usr/lib/systemd/system; do
        if [ ! -r "$directory/$1" ]; then continue; fi
        while IFS= read -r content; do
            case "$content" in ExecStart=*dockerd*) return 0 ;; esac
        done < "$directory/$1"
    done
    return 1
}

supervisor() {
    kind=process unit=''
    if [ -d /run/systemd/system ]; then
        if [ -n "$pid" ]; then unit_of_dockerd; else unit=docker.service; fi
        if [ -n "$unit" ]; then kind=systemd; fi
    elif [ -e /etc/init.d/docker ] && of_init_script; then
        if [ -e /run/openrc ] || [ -e /sbin/openrc-run ]; then kind=openrc; else kind=sysvinit; fi
    fi
    printf "supervisor %s%s\n" "$kind" "${unit:+ $unit}"
}

of_init_script() { # true if the init script started this dockerd: it cannot stop one that was started by hand
    by_script=''
    if [ -z "$pid" ] || [ -e /run/openrc/started/docker ] || [ -e /var/lock/subsys/docker ]; then return 0; fi
    if [ -r /run/docker-ssd.pid ]; then read -r by_script < /run/docker-ssd.pid || [ -n "$by_script" ]; fi
    [ "$by_script" = "$pid" ]
}

units_beside() {
    if [ -d /run/systemd/system ] && command -v perl > /dev/null; then perl -e "$units_program" "$unit"; fi
}

# Prints the options of dockerd's next start. If dockerd runs, only files that changed since its start count: its
# command line shows the rest.
next_start() {
    newer=''
    case "$kind" in
        systemd)
            options=/etc/default/docker
            set -- /etc/systemd/system /run/systemd/system /usr/lib/systemd/system
            for directory; do set -- "$@" "$directory/$unit" "$directory/$unit.d" "$directory/$unit.d"/*.conf; done
            shift 3
            ;;
        sysvinit) options=/etc/default/docker && set -- ;;
        openrc) options=/etc/conf.d/docker && set -- ;;
        *) return 0 ;;
    esac
    for path in "$@" "$options"; do
        if [ ! -e "$path" ]; then continue; fi
        # shellcheck disable=SC3013 # every sh on a supported node has -nt, and find would be a process
        if [ -z "$pid" ] || [ "$path" -nt "$pid_file" ]; then newer="$newer $path"; fi
    done
    if [ -z "$newer" ]; then return 0; fi
    # shellcheck disable=SC2086
    if [ "$kind" = systemd ]; then printf "unit %s\n" "$(command_lines $newer)"; fi
    if [ -r "$options" ]; then
        printf "docker_opts %s\n" "$(grep "^ *DOCKER_OPTS=" "$options" | tail -n 1 | base64 -w0)"
    fi
}

# Prints ExecStart lines of the unit as systemd knows it, then of drop-ins that it has not loaded yet, each with its
# continuation lines. Other lines may hold a proxy's password and are left out.
command_lines() { # files
    {
        systemctl cat --no-pager "$unit"
        for path; do case "$path" in *.conf) cat "$path" ;; esac done
    } | sed -n -e '/^ *ExecStart *=/b more' -e '/^ *Environment *=.*DOCKER_OPTS/!d' \
        -e ':more' -e '/\\$/{N;b more' -e '}' -e p | base64 -w0
}

# One stat for both files. A file that was copied or moved into place has an old mtime and a new ctime.
change_times() {
    set -- && daemon_json_stats=''
    if [ -f "$daemon_json" ] && [ -r "$daemon_json" ]; then set -- "$daemon_json"; fi
    if [ -n "$pid" ]; then set -- "$@" "$pid_file"; fi
    # shellcheck disable=SC2046
    if [ $# -gt 0 ]; then set -- "$1" $(stat -L -c '%a %u:%g %.3Y %.3Z' "$@"); fi
    if [ "${1:-}" = "$daemon_json" ] && [ $# -gt 4 ]; then
        printf "daemon_json_ctime %s\n" "$5"
        daemon_json_stats="$2 $3 $4"
        shift 4
    fi
    if [ -n "$pid" ] && [ $# -gt 4 ]; then printf "pid_file_mtime %s\n" "$4"; fi
}

daemon_json_file() {
    if [ -d "$daemon_json" ]; then
        echo "daemon_json directory"
    elif [ -L "$daemon_json" ] && [ ! -e "$daemon_json" ]; then
        echo "daemon_json dangling"
    elif [ ! -e "$daemon_json" ]; then
        if [ -x /etc/docker ] || [ ! -e /etc/docker ]; then echo "daemon_json absent"; else echo "daemon_json unreadable"; fi
    elif [ ! -f "$daemon_json" ]; then
        echo "daemon_json special"
    elif [ ! -r "$daemon_json" ]; then
        echo "daemon_json unreadable"
    else
        sum=$(sha256sum < "$daemon_json")
        printf "daemon_json text %s %s %s\n" "$daemon_json_stats" "${sum%% *}" "$(base64 -w0 < "$daemon_json")"
    fi
}

wrapper() { # sum path: prints a wrapper and its exec line; the shell reads it, which starts no process
    printf "wrapper %s %s\n" "$1" "$2"
    if [ ! -f "$2" ] || [ ! -x "$2" ]; then printf "not_executable %s\n" "$2"; fi
    while IFS= read -r content; do
        case "$content" in
            'mounts='*) printf 'sealed %s\n' "$2" ;; # seal.sh
            'sandbox='*) printf 'default_sandbox %s %s\n' "$2" "${content#*=}" ;; # dispatch.sh
            'exec '*) printf 'starts %s %s\n' "$2" "$content" && break ;; # perl follows
            '#!/usr/bin/perl'*) break ;;
        esac
    done < "$2"
}

ours() {
    for directory in /opt/gvisor/releases/*/; do
        directory=${directory%/}
        if [ -d "$directory" ]; then
            printf "release %s\n" "${directory##*/}"
            line "manifest ${directory##*/}" "$directory/manifest.json"
        fi
    done
    if [ -d /opt/gvisor/releases ]; then
        find /opt/gvisor/releases -path '*/releases/.*' -prune -o -mindepth 2 ! -type d \
            -printf 'member %P %y %m %U:%G %s %T@ %C@\n'
    fi
    set -- /opt/gvisor/runtimes/*
    if [ -e "$1" ]; then sha256sum -- "$@" | while read -r sum path; do wrapper "$sum" "$path"; done; fi
    if [ -L /usr/local/bin/runsc ]; then
        printf "runsc_link %s\n" "$(readlink /usr/local/bin/runsc)"
    elif [ -e /usr/local/bin/runsc ]; then
        echo "runsc_file yes"
    fi
    if [ -d "$state_dir" ]; then echo "state_dir yes"; fi
    if [ -e "$state_dir/pending" ] || [ -L "$state_dir/pending" ]; then echo "pending yes"; fi
    if [ -f "$state_dir/unheard" ]; then echo "unheard yes"; fi
    for name in owned owned.copy applied last-run proof proof-try; do # in base64: with -vvv pyinfra prints what it reads
        record=$state_dir/$name.json
        if [ -f "$record" ] && [ -r "$record" ]; then
            printf "state.%s %s\n" "$name" "$(base64 -w0 < "$record")"
        elif [ -e "$record" ]; then
            printf "state.%s \n" "$name"
        fi
    done
    if [ -r "$state_dir/changes" ]; then printf "changed %s\n" "$(tail -n 1 "$state_dir/changes")"; fi
    set -- "$state_dir"/generations/*/owned.json
    if [ -e "$1" ]; then echo "generations_owned yes"; fi
}

# Prints packages that write daemon.json when they are upgraded: their scripts name the file or a program that
# writes it, or they contain it. Held packages do not count: deb-postinst(5), deb-conffiles(5), apt-mark(8).
writers() {
    set -- /var/lib/dpkg/info
    found=$(
        grep -lsE 'docker/daemon\.json|runsc install|ctk runtime configure' "$1"/*.postinst "$1"/*.preinst
        grep -lsE '^/etc/docker/daemon\.json( |$)' "$1"/*.conffiles
    )
    if [ -z "$found" ]; then return 0; fi
    # shellcheck disable=SC2016
    held=$(dpkg-query -W -f '${db:Status-Want} ${Package} ' 2> /dev/null)
    for path in $found; do
        package=${path##*/} && package=${package%.*} && package=${package%%:*}
        case " $held " in *" hold $package "*) ;; *) printf 'writer %s\n' "$package" ;; esac
    done
}

store() { # prints free space and mount options of the file system for releases
    set -- /opt/gvisor/releases /opt/gvisor /opt /
    while [ ! -d "$1" ]; do shift; done
    directory=$(cd "$1" && pwd -P)
    printf "store_free %s\n" "$(stat -f -c "%a %S" "$directory")"
    options='' longest=''
    while read -r _ mounted _ given _; do
        case "${directory%/}/" in "${mounted%/}"/*) ;; *) continue ;; esac
        if [ ${#mounted} -ge ${#longest} ]; then options=$given longest=$mounted; fi
    done < /proc/self/mounts
    printf "store_options %s\n" "$options"
    if [ -e /usr/local/bin/gvisor-bin ]; then echo "stray_sidecars yes"; fi
}

textfiles() {
    if [ -z "$textfile_dir" ]; then
        return 0
    elif [ -d "$textfile_dir" ]; then
        echo "textfile_dir yes"
    else
        echo "textfile_dir no"
    fi
}

proof_images() {
    if [ -z "$proof_image" ]; then
        return 0
    elif ! command -v docker > /dev/null; then
        echo "proof_image no"
    else
        found=0
        timeout 10 docker image inspect "$proof_image" > /dev/null 2>&1 || found=$?
        case "$found" in
            0) echo "proof_image yes" ;;
            124) ;; # dockerd does not answer, so nobody knows
            *) echo "proof_image no" ;;
        esac
    fi
}

# Prints the version, and which modules there are of those that programs of ours need and python3-minimal of some release lacks. Read
# from the file's name: starting Python would take longer than the rest of this script.
python() {
    if ! python=$(readlink -e /usr/bin/python3); then return 0; fi
    python=${python##*/} found=''
    for module in asyncio ctypes dataclasses json; do
        if [ -f "/usr/lib/$python/$module.py" ] || [ -f "/usr/lib/$python/$module/__init__.py" ]; then found="$found $module"; fi
    done
    printf "python %s%s\n" "${python#python}" "$found"
}

tools() { # prints which of the programs are installed that fetch and unpack a release
    found=''
    for tool in curl wget apt-get bzip2 xz zstd; do
        if command -v "$tool" > /dev/null; then found="$found $tool"; fi
    done
    printf "tools%s\n" "$found"
}

machine
dockerd_process
supervisor
units_beside
next_start
change_times
daemon_json_file
ours
active=''
for tells in $parts; do "$tells"; done
active_units
store
writers
textfiles
proof_images
python
tools
docker_state
echo "end of node state"
