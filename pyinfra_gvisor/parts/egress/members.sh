#!/bin/sh
# What the node itself fills into sets of the firewall rules in file $1, as their comments say: the control groups of
# Docker's units that run, and the addresses of names. $2 is what to do with it:
# print (for nft), load (replaces the groups, adds addresses), unfiltered (prints groups that the kernel's sets lack).
set -u
table='inet pyinfra_gvisor'
rules=${1:?the file with the rules}
run=/run/pyinfra-gvisor-egress

# What runs counts first: daemon.json may have changed since dockerd's start.
is_proxied() { # unit of dockerd, its group
    # shellcheck disable=SC2046
    if grep -qsx docker-proxy /dev/null $(sed 's|.*|/proc/&/comm|' "/sys/fs/cgroup$2/cgroup.procs"); then return 0; fi
    if grep -Eqs '"userland-proxy"[[:space:]]*:[[:space:]]*false' /etc/docker/daemon.json; then return 1; fi
    case "$(systemctl show --property=ExecStart --value "$1")" in *--userland-proxy=false*) return 1 ;; esac
}

addresses() { # set, name: an element's time begins anew only if it is added anew
    timeout 5 getent ahosts "$2" | cut -d ' ' -f 1 | sort -u | head -n 256 | while read -r address; do
        case $address in *%*) continue ;; *:*) set="${1}_6" ;; *) set="${1}_4" ;; esac
        printf "%s element $table $set { $address%s }\n" add '' delete '' add ' timeout 10m'
    done
}

groups() { # prints set and control group of the units that run; the first one is dockerd's
    units=$(sed -n 's/^# groups //p' "$rules")
    if [ -z "$units" ]; then return 0; fi
    dockerd=${units%% *}
    # shellcheck disable=SC2086
    systemctl show --property=ControlGroup --value $units | grep -v -n '^$' | while IFS=: read -r number group; do
        if [ ! -d "/sys/fs/cgroup$group" ]; then continue; fi
        printf 'docker %s\n' "${group#/}"
        if [ "$number" = 1 ] && is_proxied "$dockerd" "$group"; then printf 'docker_proxy %s\n' "${group#/}"; fi
    done
}

print() {
    groups | while read -r set group; do printf 'add element %s %s { "%s" }\n' "$table" "$set" "$group"; done
    sed -n 's/^# name //p' "$rules" | {
        while read -r set name; do addresses "$set" "$name" & done
        wait
    }
}

load() {
    {
        if grep -q '^# groups ' "$rules"; then printf "flush set $table %s\n" docker docker_proxy; fi
        print
    } | /usr/sbin/nft -f -
}

unfiltered() {
    wanted=$(groups)
    for set in docker docker_proxy; do
        # shellcheck disable=SC2086
        listed=$(/usr/sbin/nft list set $table $set 2> /dev/null) || continue # others tell that there are no rules
        printf '%s\n' "$wanted" | while read -r of group; do
            case "$of $listed" in "$set "*"\"$group\""*) ;; "$set "*) printf '%s\n' "$group" ;; esac
        done
    done
}

case "${2:?print, load or unfiltered}" in
    load)
        mkdir -p "$run" && chmod 700 "$run" # whoever can open a lock can hold it
        exec 8>> "$run/members.lock"
        flock -w 10 8 # who loads the rules meanwhile might not know of a new group; without the lock, go on
        load
        ;;
    print) print ;;
    unfiltered) unfiltered ;;
esac
