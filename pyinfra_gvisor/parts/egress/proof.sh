#!/bin/sh
# Tries destinations that the firewall blocks, and one that it allows, from the probe containers. The
# rules allow the control (the probe under runc) meanwhile, which shows that nothing else blocks it.
# Read before proof/look.sh and prove.sh, which set the other variables used here.
# Variables: tries ("kind=address,address=port", the first suitable address is used; empty: nothing
# is tried), uplinks (the interfaces of default routes), in_force (whether the rules are active).
set -eu
: "${tries?}" "${uplinks?}" "${in_force?}" "${probe_timeout_s:?}"
control_s=$((probe_timeout_s / 2)) # the rules forget the control after this time, even if this script is killed
room=4096    # the size of stopped4, which attempts of other containers may fill
chosen=''    # "kind=address=port"

# Removes what probes have left in the sets. The sets of the control belong to the proof alone. In
# stopped4, only the probes' addresses are removed: operators read the rest, and an entry of an
# earlier container with the same address would be mistaken for the probe's.
egress_sweeps() { # addresses of probes
    if [ ! -f /usr/sbin/nft ] || [ ! -x /usr/sbin/nft ] || ! in_table list table > /dev/null 2>&1; then return 0; fi # no table, no sets
    for set in controls4 passed4; do
        in_table flush set "$set" || return 0 # somebody has changed the table, so the proof will fail
    done
    members stopped4 | while read -r source member; do
        case " $* " in *" $source "*) in_table delete element stopped4 "{ $source $member }" ;; esac
    done
}

in_table() { # command kind words...
    command=$1 kind_of=$2
    shift 2
    /usr/sbin/nft "$command" "$kind_of" inet pyinfra_gvisor "$@"
}

members() { # set: "source . destination . protocol . port" a line
    in_table list set "$1" | tr '{},' '[\n*]' |
        sed -n 's/^[[:space:]]*\([0-9.]* \. [0-9.]* \. [a-z0-9]* \. [0-9]*\) .*/\1/p'
}

egress_begins() {
    if [ -n "$tries" ] && ! command -v ip > /dev/null; then say 'no ip on this node; install iproute2' >&2; fi
    for try in $tries; do
        kind=${try%%=*} to=${try#*=}
        choose "$kind" "${to%=*}"
        if [ -n "$to" ]; then chosen="$chosen $kind=$to=${try##*=}"; fi
    done
    # shellcheck disable=SC2046
    egress_sweeps $(all_addresses)
    inspected runc
    if [ -n "$chosen" ] && [ -n "$in_force" ] && [ -n "$address" ]; then
        in_table add element controls4 "{ $address timeout ${control_s}s }" || return 0 # the control is blocked, which the proof reports
    fi
}

all_addresses() {
    for runtime in $started; do
        inspected "$runtime"
        say "$address"
    done
}

choose() { # kind addresses: sets to, empty if there is none
    to='' kind=$1
    case "$kind" in
        node) to=$(docker network inspect --format '{{range .IPAM.Config}}{{.Gateway}} {{end}}' "$network" | tr ' ' '\n' | grep -F . | head -n 1) ;;
        private)
            for candidate in $(say "$2" | tr , ' '); do
                if [ -z "$to" ] && is_beyond "$candidate"; then to=$candidate; fi
            done
            if [ -z "$to" ]; then spare egress-private 'no route to a private address outside the node'; fi
            ;;
        *)
            if route_to "${2%%,*}" > /dev/null; then
                to=${2%%,*}
            else
                spare "egress-$kind" "the node has no route to ${2%%,*}"
            fi
            ;;
    esac
}

route_to() { ip -o -4 route get "$1" 2> /dev/null; } # no route is a valid answer

# Whether the address is reached by an uplink and is not on a network of the node itself: the address
# of a container or a neighbour would answer, or no rule would apply to it.
is_beyond() { # address
    way=$(route_to "$1") || return 1
    case "$way" in *' dev '*) ;; *) return 1 ;; esac
    way=${way#* dev }
    case " $uplinks " in *" ${way%% *} "*) ;; *) return 1 ;; esac
    ! ip -4 route show match "$1" scope link | grep -qv '^default'
}

egress_tries() { # runtime: "kind<TAB>outcome" a line
    if [ -z "$chosen" ] || is_offline "$1"; then return 0; fi
    # shellcheck disable=SC2086
    run_in "$name-$1-$tag" try $chosen > "$work/tried.$1" || true # what is missing is not proven
}

egress_ends() {
    if [ -z "$chosen" ]; then return 0; fi
    : > "$work/stopped4"
    : > "$work/passed4"
    if [ -n "$in_force" ]; then
        members stopped4 > "$work/stopped4"
        members passed4 > "$work/passed4"
    fi
    # shellcheck disable=SC2046
    egress_sweeps $(all_addresses)
    for runtime in $started; do
        if ! is_offline "$runtime"; then see_tries "$runtime"; fi
    done
}

see_tries() { # runtime
    inspected "$1"
    for try in $chosen; do
        kind=${try%%=*} to=${try#*=}
        said=$(sed -n "s/^$kind	//p" "$work/tried.$1" | head -n 1)
        if [ "$kind" != allowed ]; then
            said="$(by_rules "$address . ${to%=*} . tcp . ${to#*=}")${said:+, $said}"
        elif [ -z "$in_force" ]; then
            said="not in force${said:+, $said}"
        elif [ "$1" = runc ] && [ "$said" != connected ]; then
            spare egress-allowed "runc cannot reach ${to%=*} port ${to#*=} either"
        fi
        see "$1" "egress_$kind" "$said"
    done
}

by_rules() { # member of a set: prints what the rules did with that connection
    if [ -z "$in_force" ]; then
        say 'not in force'
    elif grep -qxF "$1" "$work/passed4"; then
        if grep -qxF "$1" "$work/stopped4"; then say 'stopped and let through'; else say 'let through'; fi
    elif grep -qxF "$1" "$work/stopped4"; then
        say stopped
    elif [ "$(wc -l < "$work/stopped4")" -ge "$room" ]; then
        say 'stopped4 is full'
    else
        say 'by no rule'
    fi
}
