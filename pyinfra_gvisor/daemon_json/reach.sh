#!/bin/sh
# Connects to every published port from outside and from containers, before and after a restart of dockerd.
# "Outside" is a network namespace of its own: its packets reach the node as those of any client do. From containers
# means from their network namespaces, with the node's programs. Comes after dockerd.sh.
# Variables: work, reach_program (reach.pl), given_up (a line "protocol version port" for each port that the
# plan says will be lost, or "protocol version port container" if only that container loses the port), proxy_ends
# (whether this restart ends docker-proxy).
set -eu
: "${reach_program:?}" "${given_up?}" "${proxy_ends:?}"
reach_limit=64 # ports
inside_limit=16 # containers
client4=169.254.249 client6=fd2e:6ab4:9d1c:6:

version_of() { case "$1" in *:*) echo 6 ;; *) echo 4 ;; esac; }

outer() { # 4 | 6: the node's first address that other hosts can reach; none of Docker's bridges
    device=$(ip "-$1" route show default | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1)
    # neither link-local addresses nor those of client() below
    ip "-$1" -o address show scope global | grep -v -e ' 169\.254\.' -e ' fd2e:6ab4:9d1c:' > "$work/addresses" || true
    first=''
    {
        grep "^[0-9]*: $device " "$work/addresses" || true # the device of the default route first
        cat "$work/addresses"
    } | while read -r _ name _ address _; do
        if [ -n "$first" ] || { [ "$name" != "$device" ] && [ -d "/sys/class/net/$name/bridge" ]; }; then continue; fi
        first=${address%/*}
        printf '%s\n' "$first"
    done
}

# Prints "container pid protocol address port own-address own-port" for every published port that other hosts
# could reach. A port on "::" is skipped if the node has no IPv6 address.
published() {
    ids=$(docker_quick ps -q) || return 1
    if [ -z "$ids" ]; then return 0; fi
    # shellcheck disable=SC2016  # variables of the template
    form='{{$all := .}}{{range $own, $bound := .NetworkSettings.Ports}}{{range $bound}}{{$all.Id}} {{$all.State.Pid}} {{$own}} {{or .HostIp "0.0.0.0"}} {{.HostPort}}{{range $all.NetworkSettings.Networks}} {{.IPAddress}}{{end}}{{println}}{{end}}{{end}}'
    # shellcheck disable=SC2086
    docker_quick inspect --format "$form" $ids > "$work/bindings" || return 1
    outer4='' outer6=''
    if command -v ip > /dev/null; then outer4=$(outer 4) outer6=$(outer 6); fi
    while read -r container main own address port inner _; do
        case "$address" in
            '' | 127.* | ::1) continue ;;
            0.0.0.0) address=${outer4:-$address} ;;
            ::)
                if [ -z "$outer6" ]; then continue; fi
                address=$outer6
                ;;
        esac
        printf '%s %s %s %s %s %s %s\n' "$container" "$main" "${own#*/}" "$address" "$port" "${inner:--}" "${own%/*}"
    done < "$work/bindings" | sort -u
}

# Starts a process in a network namespace of its own, with a route to the node; sets holder to its pid. Nothing
# in here may call within: its variables are global, so it cannot nest.
client() {
    for tool in ip unshare nsenter; do
        command -v "$tool" > /dev/null || { say "$tool is not installed" && return 1; }
    done
    ip link delete pgvnode 2> /dev/null || true # left by an earlier try: it disappears some time after its process
    unshare -n sleep 60 < /dev/null > /dev/null 2>&1 9>&- &
    holder=$!
    here=$(readlink /proc/self/ns/net) waited=0
    until there=$(readlink "/proc/$holder/ns/net") && [ "$there" != "$here" ]; do
        if [ "$waited" -ge 50 ]; then say 'unshare did not create a network namespace within 5 s' && return 1; fi
        sleep 0.1
        waited=$((waited + 1))
    done
    ip link add name pgvnode type veth peer name pgvclient netns "$holder" || return 1
    ip address add "$client4.253/30" dev pgvnode && ip link set pgvnode up || return 1
    if [ -e /proc/sys/net/ipv6/conf/pgvnode ]; then
        echo 0 > /proc/sys/net/ipv6/conf/pgvnode/disable_ipv6
        ip address add "$client6:1/126" dev pgvnode nodad || return 1
    fi
    nsenter -t "$holder" -n sh -euc "
        ip link set lo up
        ip address add $client4.254/30 dev pgvclient
        ip link set pgvclient up
        ip route add default via $client4.253
        if ip address add $client6:2/126 dev pgvclient nodad; then ip route add default via $client6:1; fi"
}

try() { # file: prints "state protocol address port" for each of its lines; state: open, closed or silent
    if [ ! -s "$1" ]; then return 0; fi
    holder='' tried=no
    if client > "$work/said" 2>&1 && nsenter -t "$holder" -n perl -e "$reach_program" < "$1"; then tried=yes; fi
    if [ -n "$holder" ]; then
        kill -KILL "$holder" 2> /dev/null || true # it may have ended already; it ignores other signals, as this shell does
        wait "$holder" 2> /dev/null || true
        ip link delete pgvnode 2> /dev/null || true # it may be gone with its other end
    fi
    [ "$tried" = yes ]
}

inside() { # prints "pid id name" of a running container for each set of networks, if its namespace has its addresses
    ids=$(docker_quick ps -q) || return 1
    if [ -z "$ids" ]; then return 0; fi
    # shellcheck disable=SC2016
    form='{{.State.Pid}} {{.Id}} {{.Name}}{{range $name, $_ := .NetworkSettings.Networks}} {{$name}}{{end}}'
    # shellcheck disable=SC2086
    docker_quick inspect --format "$form" $ids | sort -k 4 > "$work/inside.all" || return 1
    networks_before=''
    while read -r peer peer_id peer_name networks; do
        case "$networks" in "$networks_before" | '' | host | none) continue ;; esac
        # gVisor's own network stack takes addresses and routes out of the namespace: only the heading is left
        if ! tail -n +2 "/proc/$peer/net/route" 2> /dev/null | grep -q .; then continue; fi
        printf '%s %s %s\n' "$peer" "$peer_id" "${peer_name#/}"
        networks_before=$networks
    done < "$work/inside.all"
}

try_inside() { # file: the same as try, from all of inside.clients at once; adds the container's name to each line
    if [ ! -s "$1" ]; then return 0; fi
    tries=''
    while read -r peer peer_id peer_name; do
        timeout 10 nsenter -t "$peer" -n perl -e "$reach_program" < "$1" 2> /dev/null > "$work/inside.$peer_id" & # it may have ended
        tries="$tries $!"
    done < "$work/inside.clients"
    for tried in $tries; do wait "$tried" || true; done
    while read -r peer peer_id peer_name; do sed "s/\$/ $peer_name/" "$work/inside.$peer_id"; done < "$work/inside.clients"
}

# Without docker-proxy a container reaches its own published port only if its bridge sends packets back to where they
# come from. dockerd sets that for containers that it starts; these run already.
reflect() {
    ids=$(docker_quick network ls -q --no-trunc --filter driver=bridge) || return 1
    # shellcheck disable=SC2086
    bridges=$(docker_quick network inspect \
        --format '{{or (index .Options "com.docker.network.bridge.name") (printf "br-%.12s" .Id)}}' $ids) || return 1
    for bridge in $bridges; do
        for port in "/sys/class/net/$bridge"/brif/*/hairpin_mode; do
            if [ -e "$port" ]; then echo 1 > "$port" || return 1; fi
        done
    done
}

served() { # prints "protocol version port" for every port with a rule or a docker-proxy of dockerd's
    for family in 4 6; do
        case "$family" in 4) tool=iptables table=ip ;; *) tool=ip6tables table=ip6 ;; esac
        "$tool-save" -t nat 2> /dev/null | # without this program there are no such rules
            sed -n "s/^-A DOCKER .*-p \([a-z]*\) .*--dport \([0-9]*\) -j DNAT.*/\1 $family \2/p"
        docker_dnat "$table" | sed -n "s/.*[[:space:]]\([a-z]*\) dport \([0-9]*\) .*/\1 $family \2/p"
    done
    dockerd=$(cat /run/docker.pid)
    for directory in /proc/[0-9]*; do
        if ! read -r comm 2> /dev/null < "$directory/comm" || [ "$comm" != docker-proxy ]; then continue; fi
        if ! read -r stat 2> /dev/null < "$directory/stat"; then continue; fi
        case "${stat##*) }" in [A-Z]" $dockerd "*) ;; *) continue ;; esac
        { tr '\0' ' ' < "$directory/cmdline" && echo; } 2> /dev/null | # the process may have ended
            sed -n 's/.*-proto \([a-z]*\) .*-host-ip \([^ ]*\) .*-host-port \([0-9]*\) .*/\1 \2 \3/p' |
            while read -r protocol address port; do
                printf '%s %s %s\n' "$protocol" "$(version_of "$address")" "$port"
            done
    done
}

reach_before() {
    published > "$work/reach.all" || return 1
    served | sort -u > "$work/served.before"
    cut -d ' ' -f 3-5 "$work/reach.all" | sort -u > "$work/reach.targets"
    reach_more=$(($(wc -l < "$work/reach.targets") - reach_limit))
    if [ "$reach_more" -gt 0 ]; then
        note "$reach_limit published ports were tested from outside; of $reach_more more only the rules and processes of dockerd were compared"
        sed -i "$reach_limit q" "$work/reach.targets"
    fi
    if ! try "$work/reach.targets" > "$work/reach.before"; then
        : > "$work/reach.before"
        note "published ports were not tested from outside, only the rules and processes of dockerd were compared: $(tail -n 1 "$work/said")"
    fi
    inside > "$work/inside.clients" || return 1
    sed -i "$inside_limit q" "$work/inside.clients"
    # for UDP on all addresses docker-proxy answers containers from another address, which they refuse
    grep '^tcp ' "$work/reach.targets" > "$work/inside.targets" || true
    try_inside "$work/inside.targets" | sed -n 's/^open //p' > "$work/inside.before"
}

# Succeeds if every port that dockerd had a rule or a process for still has one, and every port that was open is
# open, unless the container itself closed it. Containers that were stopped meanwhile do not count. Otherwise
# unreached says what is wrong.
reach_holds() {
    unreached='published ports cannot be compared: Docker does not answer'
    running > "$work/now" || return 1
    served | sort -u > "$work/served.now"
    sed -n 's/^open //p' "$work/reach.before" > "$work/reach.open"
    try "$work/reach.open" > "$work/reach.after" || sed 's/^/open /' "$work/reach.open" > "$work/reach.after"
    cut -d ' ' -f 1-3 "$work/inside.before" | sort -u > "$work/inside.open"
    try_inside "$work/inside.open" > "$work/inside.after"
    while read -r container main protocol address port inner own; do
        key="$protocol $(version_of "$address") $port"
        if ! grep -q "^$container $main " "$work/now" || printf '%s\n' "$given_up" | grep -Fxq "$key"; then continue; fi
        unreached="published port $port/$protocol on $address worked before the change, and does not work now"
        if grep -Fxq "$key" "$work/served.before" && ! grep -Fxq "$key" "$work/served.now"; then return 1; fi
        outside="$protocol $address $port"
        if grep -Fxq "$outside" "$work/reach.open" && ! grep -Fxq "open $outside" "$work/reach.after" &&
            answers_itself "$protocol $inner $own"; then return 1; fi
        if cut_inside "$outside" "$key" && answers_itself "$protocol $inner $own"; then return 1; fi
    done < "$work/reach.all"
}

cut_inside() { # "protocol address port" "protocol version port": whether a container that reached it does not any more
    while read -r peer peer_id peer_name; do
        if ! grep -q "^$peer_id $peer " "$work/now" || printf '%s\n' "$given_up" | grep -Fxq "$2 $peer_name"; then continue; fi
        if grep -Fxq "$1 $peer_name" "$work/inside.before" && ! grep -Fxq "open $1 $peer_name" "$work/inside.after"; then
            unreached="published port ${1##* }/${1%% *} answered container $peer_name by the node's address before the change, and does not now"
            return 0
        fi
    done < "$work/inside.clients"
    return 1
}

answers_itself() { # "protocol address port": whether the container answers the node directly
    state=$(printf '%s\n' "$1" | perl -e "$reach_program")
    case "$state" in open*) ;; *) return 1 ;; esac
}
