#!/bin/sh
# Prints the state of the resolver, and what it needs of the node. Read before node_state.sh.
resolver_dir=/opt/gvisor/resolver
resolver_address=169.254.53.53 # ADDRESS in pyinfra_gvisor/parts/resolver/files.py
resolver_unit=/etc/systemd/system/pyinfra-gvisor-resolver

has_ended() { # bundle: containerd removes it some time after the container's process has ended
    if [ ! -r "$1/init.pid" ]; then return 1; fi # it is being created
    init=$(cat "$1/init.pid")
    [ ! -d "/proc/${init:-self}" ]
}

resolver_state() {
    if [ -f /usr/sbin/ip ] && [ -x /usr/sbin/ip ]; then echo "resolver ip"; fi
    strays=''
    if [ -d "$resolver_dir" ]; then strays=$(find "$resolver_dir" ! -type d); fi # our file names have no spaces
    # shellcheck disable=SC2086
    files_of resolver "$resolver_unit.socket" "$resolver_unit.service" $strays
    for path in $strays; do printf 'resolver stray %s\n' "$path"; done
    shared=''
    while read -r _ _ _ _ point _ fields; do # proc_pid_mountinfo(5); if there are several on /, the last counts
        if [ "$point" != / ]; then continue; fi
        case " ${fields%%- *}" in *' shared:'*) shared=yes ;; *) shared='' ;; esac
    done < /proc/self/mountinfo
    if [ -n "$shared" ]; then echo "resolver shared"; fi
    # runtimes/wrapper_dns.sh puts this file into the bundle of each container that uses the resolver.
    for path in /run/containerd/*/moby/*/resolv.conf.docker /run/docker/containerd/daemon/*/moby/*/resolv.conf.docker; do
        bundle=${path%/*}
        if [ ! -f "$path" ] || has_ended "$bundle"; then continue; fi
        if grep -qxF "nameserver $resolver_address" "$bundle/resolv.conf"; then
            printf "resolver asks %s\n" "${bundle##*/}"
        fi
    done
    wants="${resolver_unit%/*}/sockets.target.wants/${resolver_unit##*/}.socket"
    if [ -L "$wants" ]; then echo "resolver enabled"; fi
    for kind in socket service; do
        if [ -f "$resolver_unit.$kind" ]; then
            active_of "resolver $kind" "${resolver_unit##*/}.$kind"
        fi
    done
}
