#!/bin/sh
# Prints where runc is, and what has its place. Read before node_state.sh.
divert_dir=/opt/gvisor/divert
divert_unit=pyinfra-gvisor-divert.service
divert_aside=.pyinfra-gvisor
divert_diversions=/var/lib/dpkg/diversions
divert_paths=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin # systemd.exec(5)

divert_state() {
    divert_environment
    set --
    IFS=:
    for directory in $divert_path $divert_paths; do
        if [ -f "$directory/runc" ] || [ -f "$directory/runc$divert_aside" ]; then set -- "$@" "$directory/runc"; fi
    done
    unset IFS
    if [ $# -gt 0 ]; then divert_places "$@"; fi
    if [ -r "$divert_diversions" ]; then divert_diverted < "$divert_diversions"; fi
    if [ ! -d "$divert_dir" ] && [ ! -e "/etc/systemd/system/$divert_unit" ]; then return 0; fi
    files_of divert "$divert_dir/program" "$divert_dir/places" "$divert_dir/repair" "/etc/systemd/system/$divert_unit"
    for name in places owned; do
        if [ ! -r "$divert_dir/$name" ]; then continue; fi
        while IFS= read -r content; do printf 'divert %s %s\n' "$name" "$content"; done < "$divert_dir/$name"
    done
    if [ -r "$divert_dir/program" ]; then
        while IFS= read -r content; do
            case "$content" in dispatcher=*) printf 'divert dispatcher %s\n' "${content#*=}" ;; esac
        done < "$divert_dir/program"
    fi
    for wants in /etc/systemd/system/*.wants/"$divert_unit"; do
        if [ -L "$wants" ]; then echo "divert enabled yes"; fi
    done
}

divert_environment() { # sets divert_path: PATH of dockerd
    divert_path=''
    if [ -z "$pid" ] || [ ! -r "/proc/$pid/environ" ]; then return 0; fi
    divert_found=$(tr '\0' '\n' < "/proc/$pid/environ" | grep -E '^(PATH|DOCKER_BUILDKIT_RUNC_COMMAND)=')
    while IFS= read -r content; do
        case "$content" in
            PATH=*) divert_path=${content#*=} ;;
            ?*) printf 'divert command %s\n' "${content#*=}" ;;
        esac
    done << END
$divert_found
END
}

divert_places() { # paths: prints each without symbolic links, in the order of PATH, and of what is there
    readlink -f -- "$@" | {
        set --
        seen=:
        while IFS= read -r at; do # PATH has most directories twice, by other names
            case "$seen" in *:"$at":*) continue ;; esac
            seen=$seen$at:
            printf "divert place %s\n" "$at"
            for path in "$at" "$at$divert_aside"; do if [ -f "$path" ]; then set -- "$@" "$path"; fi; done
        done
        stat -c 'divert is %a:%u:%g %s %n' -- "$@"
        for path; do
            shift
            case "$path" in *"$divert_aside") ;; *) if is_script "$path"; then set -- "$@" "$path"; fi ;; esac
        done
        if [ $# -gt 0 ]; then sha256sum -- "$@" | sed 's/^/divert small /'; fi
    }
}

divert_diverted() { # records of three lines: path, path instead, package or ":" for an administrator
    while IFS= read -r from && IFS= read -r to && IFS= read -r by; do
        case "$from" in */runc) printf 'divert diverted %s %s %s\n' "$from" "$to" "$by" ;; esac
    done
}
