#!/bin/sh
# Observes probe containers and the node that they run on. Comes after proof/containers.sh, before prove.sh, which set the variables.
set -eu

see() { printf '%s\t%s\t%s\n' "$1" "$2" "$3"; }

spare() { see node "not_applicable.$1" "$2"; } # check, reason: this check does not apply to the node

see_node() {
    peer=$(peers_address)
    see node peer_address "$peer"
    see node beyond "$(named_in "$name-the-peer-$tag" beyond)"
    see node subnet "$(docker network inspect --format '{{range .IPAM.Config}}{{.Subnet}}{{end}}' "$network")"
    see node addresses "$(hostname -I)"
    see node kernel_version "$(uname -v)"
    see node kernel_release "$(uname -r)"
    if [ -n "$default" ]; then see node default "$default"; fi
    if [ ! -s "$work/external" ]; then
        spare dns-external 'the node itself resolves no external name'
        external=-
    fi
    if [ -z "$setuid" ]; then spare no-new-privs "the image in gvisor_proof_image has no setuid program for this check"; fi
    if [ -n "$no_reload" ]; then spare reload "$no_reload"; fi
}

look_at_all() {
    inspect_all > "$work/inspected"
    for part in $trying; do "${part}_begins"; done
    for runtime in $started; do
        look_and_try "$runtime" > "$work/look.$runtime" &
    done
    ask_from_peer > "$work/from-peer" &
    ask_from_node > "$work/from-node" &
    wait
    for part in $trying; do "${part}_ends"; done
    for runtime in $started; do
        see_log "$runtime" > "$work/log.$runtime" &
        look_outside "$runtime" > "$work/outside.$runtime" &
    done
    what_they_are > "$work/verdicts" &
    wait
    cat "$work"/look.* "$work"/from-* "$work"/log.* "$work"/outside.* "$work/verdicts"
    if [ "$external" != - ] && [ -e "$work/look.runc" ] && ! grep -q '	dns_external	' "$work/look.runc"; then
        spare dns-external 'no external name resolves under runc either'
    fi
    if grep -q '	personality	not refused' "$work/look.runc"; then
        spare seccomp "the node's own seccomp filter allows this call under runc too"
    fi
}

look_and_try() { # runtime: one exec at a time, as runsc gives up after 10 s on a slow node
    look_inside "$1"
    for part in $trying; do "${part}_tries" "$1"; done
}

# Prints "name runtime pid memory address port" for each container; the last two begin with a letter, as they may
# be empty.
inspect_all() {
    set --
    for runtime in $started; do set -- "$@" "$name-$runtime-$tag"; done
    docker inspect --format '{{.Name}} {{.HostConfig.Runtime}} {{.State.Pid}} {{.HostConfig.Memory}} a{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}} p{{with index .NetworkSettings.Ports "'"$port"'/tcp"}}{{(index . 0).HostPort}}{{end}}' "$@"
}

inspected() { # runtime: sets asked pid limit address published
    asked='' pid='' limit='' address='' published=''
    while read -r word asked_now pid_now limit_now address_now published_now; do
        if [ "$word" = "/$name-$1-$tag" ]; then
            asked=$asked_now pid=$pid_now limit=$limit_now
            address=${address_now#a} published=${published_now#p}
        fi
    done < "$work/inspected"
}

is_offline() { case " $offline " in *" $1 "*) ;; *) return 1 ;; esac }

look_inside() { # runtime
    if ! run_in "$name-$1-$tag" look "$peer" "$port" "$name-the-peer-$tag" "$external" "$setuid" > "$work/inside.$1"; then
        see "$1" exec.error "docker exec: $(why_not "$(cat "$work/inside.$1")")"
    fi
    while IFS= read -r line; do say "$1	$line"; done < "$work/inside.$1"
}

ask_from_peer() {
    set --
    for runtime in $started; do
        inspected "$runtime"
        if ! is_offline "$runtime"; then set -- "$@" "$runtime=tcp_from_peer=$address=$port=$name-$runtime-$tag"; fi
    done
    run_in "$name-the-peer-$tag" ask "$@"
}

ask_from_node() {
    set --
    for runtime in $started; do
        inspected "$runtime"
        if ! is_offline "$runtime"; then set -- "$@" "$runtime=published=127.0.0.1=$published=$name-$runtime-$tag"; fi
    done
    /usr/bin/perl -e "$program" ask "$@" 2>&1
}

what_they_are() {
    set --
    for runtime in $started; do set -- "$@" "$runtime=$name-$runtime-$tag"; done
    /usr/bin/perl -e "$verdicts" verdicts "$docker_socket" "$@"
}

see_log() { # runtime
    if docker logs "$name-$1-$tag" 2>&1 | grep -qxF "log $name-$1-$tag"; then see "$1" logs 'its line'; fi
}

# Only after the container has answered: a process that is just starting has no command line yet.
look_outside() { # runtime
    inspected "$1"
    see "$1" asked "$asked"
    see "$1" given_address "$address"
    # The file shows the process' own network namespace: proc(5), fib_trie in the kernel's sources.
    if [ -z "$address" ] || [ ! -r "/proc/$pid/net/fib_trie" ]; then
        : # nothing is observed
    elif grep -qwF -e "-- $address" "/proc/$pid/net/fib_trie"; then
        see "$1" kernel_address "the kernel's"
    else
        see "$1" kernel_address "the sandbox's alone"
    fi
    see "$1" file_rights "$(file_rights "$pid")"
    if [ "$limit" = "$memory" ]; then
        inside=$(sed -n 's/^memory_inside	//p' "$work/inside.$1")
        see "$1" memory_limit "$(limit_of "$pid"), inside ${inside:-unknown}"
    else
        spare memory-limit "the node's kernel has no memory limit for containers"
    fi
}

file_rights() { # pid: "some" if it has a capability over files of others: 0 to 4, capabilities(7)
    capabilities=$(sed -n 's/^CapEff:[[:space:]]*//p' "/proc/$1/status")
    if [ $((0x$capabilities & 0x1f)) -eq 0 ]; then say none; else say some; fi
}

limit_of() { # pid: prints the memory limit in bytes of its control group or a parent; cgroup version 1 or 2
    while IFS=: read -r _ kinds group; do
        case ",$kinds," in
            *,memory,*) mounted=/sys/fs/cgroup/memory setting=memory.limit_in_bytes ;;
            ,,) mounted=/sys/fs/cgroup setting=memory.max ;;
            *) continue ;;
        esac
        while :; do
            limit=max
            if [ -r "$mounted$group/$setting" ]; then read -r limit < "$mounted$group/$setting"; fi
            case "$limit" in
                max | ???????????????????*) ;; # in version 1 a number of 19 digits means no limit
                *)
                    say "$limit"
                    return 0
                    ;;
            esac
            if [ -z "$group" ]; then break; fi
            group=${group%/*}
        done
    done < "/proc/$1/cgroup"
    say none
}
