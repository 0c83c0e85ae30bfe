#!/bin/sh
# Gives a sandbox a resolv.conf with the resolver of pyinfra-gvisor. Docker's resolver listens on the loopback of
# the host's kernel, which a sandbox with its own network stack cannot reach. The file is a copy in the bundle. Docker
# writes the original in hooks of create, so the copy is filled at start. Errors are logged, and the container starts
# anyway. Variables: resolver, resolver6 (addresses). Comes before the line that starts runsc.
: "${resolver:?}" "${resolver6:?}"

create() {
    bundle=$PWD
    before=
    for word; do
        case "$before" in --bundle | -bundle | --b | -b) bundle=$word ;; esac
        case "$word" in --bundle=* | -bundle=*) bundle=${word#*=} ;; esac
        before=$word
    done
    mount='"destination":"/etc/resolv.conf","type":"bind","source":"'
    dockers='[^"\\]*/containers/[0-9a-f]*/resolv\.conf'
    : > "$bundle/resolv.conf" && sed -i \
        -e "\|$mount$dockers\"|{h;s|.*$mount||;s|\".*||w $bundle/resolv.conf.docker" \
        -e "g;s|\($mount\)$dockers\"|\1$bundle/resolv.conf\"|}" "$bundle/config.json"
}

start() {
    if [ ! -s resolv.conf.docker ]; then return 0; fi # the user mounts a resolv.conf, or there is no network
    read -r from < resolv.conf.docker || [ -n "$from" ] || return 1 # like config.json it may lack a final newline
    if [ ! -f "$from" ]; then
        echo "$from is not a file"
        return 1
    fi
    text=
    dockers=
    while IFS= read -r line || [ -n "$line" ]; do
        case "$line" in
            'nameserver 127.0.0.11')
                line="nameserver $resolver
nameserver $resolver6"
                dockers=yes
                ;;
        esac
        text="$text$line
"
    done < "$from" || return 1
    printf '%s' "$text" > resolv.conf || return 1 # in place: the sandbox mounts this file
    if [ -n "$dockers" ]; then lead; fi
}

# An internal network has no route to the node; adds one to the resolver only.
lead() {
    pid=
    read -r pid < init.pid || [ -n "$pid" ] || return 1 # the line lacks a newline
    device=
    while read -r name destination _; do
        case "$name $destination" in
            *' 00000000') return 0 ;;
            *' Destination') ;;
            *) device=$name ;;
        esac
    done < "/proc/$pid/net/route" || return 1
    if [ -n "$device" ]; then nsenter "--net=/proc/$pid/ns/net" ip route add "$resolver" dev "$device"; fi
}

before=
for word; do
    case "$before" in --root | --log | --log-format | -root | -log | -log-format)
        before= # before the command, only these flags have a value as a separate word
        continue
        ;;
    esac
    before=$word
    case "$word" in
        -*) continue ;;
        create | start) # in a subshell: runsc must not inherit our variables
            for id; do :; done
            said=$(umask 022 && "$word" "$@" 2>&1) || said="$said; Docker's names may not resolve in this container"
            if [ -n "$said" ]; then logger -t pyinfra-gvisor-resolver -- "$id: $said"; fi
            ;;
    esac
    break
done
