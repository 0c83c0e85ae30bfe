#!/bin/sh
# Starts a container under each runtime and prints what is seen of it, from outside and inside:
# "runtime<TAB>observation<TAB>value" a line. Judging that is not done here. Needs no image from
# anywhere: the probe's file system is a few links, and the node's own /usr, read only.
# Set before: runtimes (names; runc is the negative control).
set -eu
: "${runtimes:?}"
export LC_ALL=C
label=pyinfra-gvisor.probe
tag=$$-$(date +%s)
network=pyinfra-gvisor-probe-$tag
image=pyinfra-gvisor-probe:$tag
tree=''

see() { printf '%s\t%s\t%s\n' "$1" "$2" "$3"; }

sweep() { # what this run or a run that was killed has left; the lock says that none is alive
    containers=$(docker ps -aq --filter "label=$label")
    # shellcheck disable=SC2086
    if [ -n "$containers" ]; then docker rm -f $containers > /dev/null; fi
    networks=$(docker network ls -q --filter "label=$label")
    # shellcheck disable=SC2086
    if [ -n "$networks" ]; then docker network rm $networks > /dev/null; fi
    images=$(docker images -q pyinfra-gvisor-probe)
    # shellcheck disable=SC2086
    if [ -n "$images" ]; then docker rmi -f $images > /dev/null; fi
    if [ -n "$tree" ]; then rm -rf "$tree"; fi
}

make_image() {
    tree=$(mktemp -d)
    mkdir "$tree/proc" "$tree/sys" "$tree/dev" "$tree/tmp" "$tree/etc" "$tree/run"
    for link in bin sbin lib lib64; do
        if [ -e "/$link" ]; then ln -s "usr/$link" "$tree/$link"; fi
    done
    tar -C "$tree" -c . | docker import --change "LABEL $label=$tag" - "$image" > /dev/null
}

start() { # name runtime options...
    name=$1 runtime=$2
    shift 2
    docker run -d --name "$name" --runtime "$runtime" --network "$network" --label "$label=$tag" \
        -v /usr:/usr:ro "$@" "$image" sleep 300 2>&1
}

# Old releases refuse docker.sock already when it is mounted, later ones when it is opened.
start_with_socket() { # name runtime
    at_start=''
    if said=$(start "$1" "$2" -v /var/run/docker.sock:/run/probe.sock); then return 0; fi
    case "$said" in # any other reason is a failure, and proves nothing
        *probe.sock*) at_start=refused ;;
        *) return 1 ;;
    esac
    docker rm -f "$1" > /dev/null
    said=$(start "$1" "$2")
}

# Raw and packet sockets, docker.sock, and the address that packets would leave from. perl-base is
# in every Debian and Ubuntu. "allowed": the sandbox let it through.
# shellcheck disable=SC2016
inside='
echo "kernel_version $(uname -v)"
echo "kernel_release $(uname -r)"
echo "dmesg $(dmesg 2>/dev/null | head -n 1 | cut -c1-60)"
peer=$(getent ahostsv4 peer) && peer=${peer%% *} || peer=""
echo "dns_peer $peer"
perl -e '"'"'
use Socket;
sub said { print "$_[0] ", ($_[1] ? "allowed" : "refused"), "\n" }
said("raw_socket", socket(my $raw, AF_INET, SOCK_RAW, 1));
said("packet_socket", socket(my $packet, 17, SOCK_RAW, 768));
socket(my $unix, AF_UNIX, SOCK_STREAM, 0);
if (-e "/run/probe.sock") { said("docker_socket", connect($unix, sockaddr_un("/run/probe.sock"))) }
socket(my $udp, AF_INET, SOCK_DGRAM, 0);
my $to = inet_aton($ARGV[0] || "192.0.2.1");
if ($to && connect($udp, sockaddr_in(53, $to))) { print "address ", inet_ntoa((sockaddr_in(getsockname($udp)))[1]), "\n" }
'"'"' "$peer"
'

probe() { # runtime
    name=pyinfra-gvisor-probe-$1-$tag
    if ! start_with_socket "$name" "$1"; then
        see "$1" start "$(printf '%s' "$said" | tail -n 1 | cut -c1-500)"
        return 0
    fi
    see "$1" start ok
    if [ -n "$at_start" ]; then see "$1" docker_socket refused; fi
    see "$1" asked "$(docker inspect -f '{{.HostConfig.Runtime}}' "$name")"
    see "$1" given_address "$(docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$name")"
    docker exec "$name" sh -c "$inside" 2>&1 | while read -r key value; do see "$1" "$key" "$value"; done
    # not sooner: in the moment of its start a process has no command line yet
    pid=$(docker inspect -f '{{.State.Pid}}' "$name")
    see "$1" executable "$(readlink "/proc/$pid/exe")"
    see "$1" argv0 "$(tr '\0' '\n' < "/proc/$pid/cmdline" | head -n 1)"
    see "$1" exec "$(docker exec "$name" sh -c 'echo answer $((6 * 7))' 2>&1 | tail -n 1 | cut -c1-60)"
}

mkdir -p /run/pyinfra-gvisor
exec 9>> /run/pyinfra-gvisor/probe.lock
flock -w 60 9 || {
    echo 'another proof is running on this node' >&2
    exit 1
}
sweep
trap sweep EXIT
trap 'exit 1' HUP INT TERM
make_image
docker network create --label "$label=$tag" "$network" > /dev/null
docker run -d --name "pyinfra-gvisor-probe-peer-$tag" --network "$network" --network-alias peer --runtime runc \
    --label "$label=$tag" -v /usr:/usr:ro "$image" sleep 300 > /dev/null
see node peer_address "$(docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "pyinfra-gvisor-probe-peer-$tag")"
see node subnet "$(docker network inspect -f '{{range .IPAM.Config}}{{.Subnet}}{{end}}' "$network")"
see node kernel_version "$(uname -v)"
for runtime in $runtimes; do probe "$runtime"; done
