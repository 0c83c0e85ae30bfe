#!/bin/sh
# Prints the state of the firewall, and what its rules depend on. Read before node_state.sh.
egress_dir=/opt/gvisor/egress
egress_loaded=/run/pyinfra-gvisor-egress/loaded
egress_unit=/etc/systemd/system/pyinfra-gvisor-egress.service

egress_state() {
    if [ -f /usr/sbin/nft ] && [ -x /usr/sbin/nft ]; then echo "egress nft"; fi
    egress_files
    egress_routes
    egress_bridges
    egress_resolvers
    egress_ssh
    egress_managers
}

# Bridges, and their ports that leave the node: hardware, and interfaces on top of another, such as a
# VLAN or a bond. The ports of containers and virtual machines (veth, tap) are neither.
egress_bridges() {
    for path in /sys/class/net/*/bridge; do
        if [ ! -d "$path" ]; then continue; fi
        path=${path%/bridge}
        printf "egress bridge %s\n" "${path##*/}"
        for port in "$path"/brif/*; do
            for below in "/sys/class/net/${port##*/}/device" "/sys/class/net/${port##*/}"/lower_*; do
                if [ -e "$below" ]; then
                    printf "egress port %s %s\n" "${path##*/}" "${port##*/}"
                    break
                fi
            done
        done
    done
}

egress_files() {
    wants="${egress_unit%/*}/sysinit.target.wants/${egress_unit##*/}"
    # If somebody has removed the files, egress_loaded tells that the table was loaded since boot.
    if [ ! -d "$egress_dir" ] && [ ! -f "$egress_unit" ] && [ ! -L "$wants" ] && [ ! -e "$egress_loaded" ]; then return 0; fi
    egress_name=${egress_unit##*/}
    files_of egress "$egress_dir"/rules.nft "$egress_dir"/*.sh "$egress_unit" "${egress_unit%.service}-members.service" "${egress_unit%/*}"/*.d/"${egress_name%.service}.conf"
    if [ -r "$egress_dir/rules.nft" ]; then printf "egress rules %s\n" "$(base64 -w0 < "$egress_dir/rules.nft")"; fi
    if [ -e "$egress_dir/candidate.nft" ]; then echo "egress pending yes"; fi
    if [ -L "$wants" ]; then echo "egress enabled yes"; fi
    if [ -f "$egress_unit" ]; then active_of "egress unit" "${egress_unit##*/}"; fi
    if [ -f "${egress_unit%.service}-members.service" ]; then active_of "egress follower" "${egress_name%.service}-members.service"; fi
    line "egress loaded" "$egress_loaded"
    if [ -f /usr/sbin/nft ] && [ -x /usr/sbin/nft ] && table=$(/usr/sbin/nft -s -t list table inet pyinfra_gvisor 2> /dev/null); then # it fails if there is no table
        sum=$(printf "%s\n" "$table" | sha256sum)
        printf "egress now %s\n" "${sum%% *}"
        if [ -f "$egress_dir/members.sh" ]; then
            sh "$egress_dir/members.sh" "$egress_dir/rules.nft" unfiltered | while read -r group; do printf "egress unfiltered %s\n" "$group"; done
        fi
    fi
}

# Default routes, and the address of each gateway in hexadecimal digits, an IPv4 address from its end. Format:
# proc_net_route and ipv6_route in the kernel's Documentation/networking.
egress_routes() {
    if [ -r /proc/net/route ]; then
        while read -r name destination gateway _ _ _ _ mask _; do
            if [ "$destination $mask" = "00000000 00000000" ]; then
                printf "egress uplink %s\negress gateway %s\n" "$name" "$gateway"
            fi
        done < /proc/net/route
    fi
    if [ ! -r /proc/net/ipv6_route ]; then return 0; fi
    while read -r destination length _ _ gateway _ _ _ _ name; do
        case "$destination $length $name" in
            "00000000000000000000000000000000 00 lo") ;;
            "00000000000000000000000000000000 00 "*) printf "egress uplink %s\negress gateway %s\n" "$name" "$gateway" ;;
        esac
    done < /proc/net/ipv6_route
}

# The resolvers of the file that Docker reads: that of systemd-resolved if resolv.conf names only its
# stub (libnetwork/resolvconf of moby/moby).
egress_resolvers() {
    file=/etc/resolv.conf
    if [ ! -r "$file" ]; then return 0; fi
    others=""
    while read -r key address _ || [ -n "$key" ]; do # the last line may lack a newline
        if [ "$key" = nameserver ]; then others="$others $address"; fi
    done < "$file"
    if [ "$others" = " 127.0.0.53" ] && [ -r /run/systemd/resolve/resolv.conf ]; then
        file=/run/systemd/resolve/resolv.conf
    fi
    while read -r key address _ || [ -n "$key" ]; do
        if [ "$key" = nameserver ]; then printf "egress resolver %s\n" "${address%%%*}"; fi
    done < "$file"
}

# The SSH connection that this script runs in. sudo drops SSH_CONNECTION (client, its port, our
# address, our port: ssh(1)), but a parent process still has it.
egress_ssh() {
    connection=${SSH_CONNECTION:-} process=$PPID
    for _ in 1 2 3 4 5 6; do
        if [ -n "$connection" ] || [ "${process:-1}" -le 1 ]; then break; fi
        if [ -r "/proc/$process/environ" ]; then
            connection=$(tr '\0' '\n' < "/proc/$process/environ" | sed -n 's/^SSH_CONNECTION=//p' | head -n 1)
        fi
        if ! read -r stat < "/proc/$process/stat"; then break; fi
        # After "(comm)" come state and parent: proc_pid_stat(5).
        # shellcheck disable=SC2086
        set -- ${stat##*) }
        process=${2:-}
    done
    if [ -z "$connection" ]; then return 0; fi
    # shellcheck disable=SC2086
    set -- $connection
    way=$(ip -o route get "$1" 2> /dev/null) || way="" # no route: the interface stays empty
    case "$way" in *" dev "*) way=${way#* dev } ;; *) way="" ;; esac
    printf "egress ssh %s %s %s\n" "$1" "${4:-22}" "${way%% *}"
}

egress_managers() {
    if [ -r /etc/ufw/ufw.conf ] && grep -q "^ENABLED=yes" /etc/ufw/ufw.conf; then echo "egress manager ufw"; fi
    if [ -e /run/firewalld.pid ] || [ -e /run/firewalld/firewalld.pid ]; then echo "egress manager firewalld"; fi
    if [ -L /etc/systemd/system/sysinit.target.wants/nftables.service ]; then echo "egress manager nftables.service"; fi
    if [ -L /etc/systemd/system/multi-user.target.wants/netfilter-persistent.service ]; then
        echo "egress manager netfilter-persistent"
    fi
}
