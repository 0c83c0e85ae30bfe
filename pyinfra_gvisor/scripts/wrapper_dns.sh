#!/bin/sh
# Docker's resolver listens on the loopback of the host's kernel, where a sandbox with a network
# stack of its own does not come. Its resolv.conf is a copy beside the bundle, with the resolver of
# pyinfra-gvisor in the place of Docker's. Docker writes its own file in create's hooks, so that the
# copy is filled at start. Whatever goes wrong here is logged, and keeps no container from starting.
# Set before: resolver, resolver6 (the addresses to ask). Read in front of the line that starts runsc.
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
    if [ ! -s resolv.conf.docker ]; then return 0; fi # a file of the user's, or no network
    read -r from < resolv.conf.docker || [ -n "$from" ] || return 1 # as config.json it may have no end
    if [ ! -f "$from" ]; then
        echo "$from is no file"
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
    printf '%s' "$text" > resolv.conf || return 1 # in place: the sandbox has this very file
    if [ -n "$dockers" ]; then lead; fi
}

# On an internal network no route leads to the node; this one is for its resolver alone.
lead() {
    pid=
    read -r pid < init.pid || [ -n "$pid" ] || return 1 # its line has no end
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
        before= # of what stands in front of the command these have a word of their own
        continue
        ;;
    esac
    before=$word
    case "$word" in
        -*) continue ;;
        create | start) # in a shell of its own: runsc gets nothing of what is set for it
            for id; do :; done
            said=$(umask 022 && "$word" "$@" 2>&1) || said="$said; Docker's names may not resolve in it"
            if [ -n "$said" ]; then logger -t pyinfra-gvisor-resolver -- "$id: $said"; fi
            ;;
    esac
    break
done
