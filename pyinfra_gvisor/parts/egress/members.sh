#!/bin/sh
# What the node itself fills into sets of the firewall rules in file $1, as their comments say: the control groups of
# Docker's units that run, the bridges of apps, and the addresses of names. $2 is what to do with it:
# print (all of it, for nft), groups, names and apps (load these), follow (loads names every minute, and apps whenever a
# network comes or goes), unfiltered (prints groups that the rules do not match). Several words are done in turn.
set -u
table='inet pyinfra_gvisor'
rules=${1:?the file with the rules}
run=/run/pyinfra-gvisor-egress
newline='
' keeps=''
known=/opt/gvisor/egress/apps # selector and bridge, as Docker said last

# What runs counts first: daemon.json may have changed since dockerd's start.
is_proxied() { # unit of dockerd, its group
    # shellcheck disable=SC2046
    if grep -qsx docker-proxy /dev/null $(sed 's|.*|/proc/&/comm|' "/sys/fs/cgroup$2/cgroup.procs"); then return 0; fi
    if grep -Eqs '"userland-proxy"[[:space:]]*:[[:space:]]*false' /etc/docker/daemon.json; then return 1; fi
    case "$(systemctl show --property=ExecStart --value "$1")" in *--userland-proxy=false*) return 1 ;; esac
}

# The time of an element is not prolonged: it is removed and added. If a table is loaded in place of another one, what
# this one has stays without an answer.
addresses() { # set, name
    answer=$(timeout 5 getent ahosts "$2" | cut -d ' ' -f 1 | sort -u | head -n 64)
    if [ -z "$answer" ] && [ -n "$keeps" ]; then answer=$(members "${1}_4" && members "${1}_6"); fi
    printf '%s\n' "$answer" | while read -r address; do
        case $address in '' | *%*) continue ;; *:*) set="${1}_6" ;; *) set="${1}_4" ;; esac
        printf "%s element $table $set { $address%s }\n" add '' delete '' add ' timeout 10m'
    done
}

members() { # set: prints its addresses
    # shellcheck disable=SC2086
    /usr/sbin/nft list set $table "$1" 2> /dev/null | tr '{},' '[\n*]' | sed -n 's/^[[:space:]]*\([0-9a-f.:]*\) timeout .*/\1/p'
}

groups() { # prints set and control group of the units that run; the first one is dockerd's
    units=$(sed -n 's/^# groups //p' "$rules")
    if [ -z "$units" ]; then return 0; fi
    dockerd=${units%% *}
    # shellcheck disable=SC2086
    shown=$(systemctl show --property=ControlGroup --value $units) || return 1
    printf '%s\n' "$shown" | grep -v -n '^$' | while IFS=: read -r number group; do
        if [ ! -d "/sys/fs/cgroup$group" ]; then continue; fi
        printf 'docker %s\n' "${group#/}"
        if [ "$number" = 1 ] && is_proxied "$dockerd" "$group"; then printf 'docker_proxy %s\n' "${group#/}"; fi
    done
}

bridges() { # prints selector and bridge of each network of an app; fails if Docker does not tell
    sed -n 's/^# app [^ ]* //p' "$rules" | sort -u | while read -r selector; do
        found=$(timeout 10 docker network ls --no-trunc --filter driver=bridge --filter "$selector" --format '{{.ID}} {{.Name}}') || exit 1
        printf '%s\n' "$found" | while read -r id name; do
            case $selector in name="$name") ;; name=*) continue ;; esac # for Docker it is an expression
            if [ -z "$id" ]; then continue; fi
            own=$(timeout 10 docker network inspect --format '{{index .Options "com.docker.network.bridge.name"}}' "$id") || exit 1
            printf '%s %s\n' "$selector" "${own:-br-$(printf %.12s "$id")}"
        done || exit 1
    done
}

runs_docker() { systemctl is-active --quiet "$(sed -n 's/^# dockerd //p' "$rules")"; }

learn() { # asks Docker, if it runs: a question would start it by its socket
    if runs_docker && bridges > "$known.new"; then mv "$known.new" "$known"; fi
}

# A bridge with another name than Docker's own is left out: nft might not express it. A set has room for 256.
print_apps() {
    sed -n 's/^# app //p' "$rules" | while read -r set selector; do
        while read -r of bridge; do
            case "$of $bridge" in
                *[!A-Za-z0-9=._/:@+\ -]*) ;;
                "$selector "*) printf 'add element %s %s { "%s" }\n' "$table" "$set" "$bridge" ;;
            esac
        done < "$known" | head -n 256
    done 2> /dev/null # nothing is known yet
}

print_groups() {
    all=$(groups) || return 1
    printf '%s' "$all${all:+$newline}" | while read -r set group; do printf 'add element %s %s { "%s" }\n' "$table" "$set" "$group"; done
}

print_names() {
    sed -n 's/^# name //p' "$rules" | {
        while read -r set name; do addresses "$set" "$name" & done
        wait
    }
}

print() { # groups come last: they may be gone soon
    keeps=yes
    if grep -q '^# app ' "$rules"; then
        learn
        print_apps
    fi
    print_names
    print_groups
}

load_groups() { # nothing is changed if systemd does not tell them
    if ! grep -q '^# groups ' "$rules"; then return 0; fi
    found=$(print_groups) || return 1
    { printf "flush set $table %s\n" docker docker_proxy && printf '%s\n' "$found"; } | /usr/sbin/nft -f -
}

load_names() { print_names | /usr/sbin/nft -f -; }

load_apps() {
    learn
    { sed -n "s/^# app \([^ ]*\) .*/flush set $table \1/p" "$rules" && print_apps; } | /usr/sbin/nft -f -
}

# Events come before the first look: nothing is missed between them.
follow() {
    looked_s=0
    while :; do
        if [ $(($(date +%s) - looked_s)) -ge 55 ]; then
            locked load_names
            looked_s=$(date +%s)
        fi
        if grep -q '^# app ' "$rules" && runs_docker; then
            timeout 60 docker events --filter type=network --filter event=create --filter event=destroy --format x | {
                locked load_apps
                while read -r _; do locked load_apps; done
            }
        fi
        sleep 1
    done
}

unfiltered() { # also what is deeper than the rules look
    wanted=$(groups)
    printf '%s\n' "$wanted" | sed -n 's|^docker \([^/]*/[^/]*/[^/]*/.*\)|\1|p'
    for set in docker docker_proxy; do
        # shellcheck disable=SC2086
        listed=$(/usr/sbin/nft list set $table $set 2> /dev/null) || continue # others tell that there are no rules
        printf '%s\n' "$wanted" | while read -r of group; do
            case "$of $listed" in "$set "*"\"$group\""*) ;; "$set "*) printf '%s\n' "$group" ;; esac
        done
    done
}

locked() { # who loads the rules meanwhile might not know what this one does; without the lock, go on
    mkdir -p "$run" && chmod 700 "$run" # whoever can open a lock can hold it
    exec 8>> "$run/members.lock"
    flock -w 10 8
    "$@"
    exec 8>&-
}

: "${2:?what to do}"
shift
for what; do
    case "$what" in
        groups | names | apps) locked "load_$what" ;;
        print | follow | unfiltered) "$what" ;;
    esac
done
