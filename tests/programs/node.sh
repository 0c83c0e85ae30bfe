#!/bin/sh
# Runs one program on a node, and checks that it does its work. Each function is called in a shell of its own.
set -eu

make_image() { # packages: an image with the node's programs, which are not started on the node
    if docker image inspect programs:1 > /dev/null 2>&1; then return; fi
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    apt-get -qq update
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $1 > /dev/null
    rm /usr/sbin/policy-rc.d
    docker network inspect programs > /dev/null 2>&1 || docker network create programs > /dev/null
    tar -C / -c --one-file-system --exclude=./opt --exclude=./root --exclude=./var/cache/apt \
        --exclude=./var/lib/apt --exclude=./var/lib/docker --exclude=./var/lib/containerd \
        --exclude=./var/lib/pyinfra-gvisor --exclude=./tmp/* --exclude=./run/* . |
        docker import - programs:1 > /dev/null
}

start() { # runtime, what the program and the one beside it run, options of docker run
    runtime=$1 serve=$2 beside=$3
    shift 3
    remove
    if [ -n "$beside" ]; then run beside "$beside" "$@"; fi
    run app "$serve" "$@"
}

run() { # name command options
    name=$1 command=$2
    shift 2
    docker run -d --name "programs-$name" --runtime "$runtime" --network programs "$@" programs:1 \
        sh -c "set -e; $command" > /dev/null
}

check() { # seconds client inside: fails if the program does not do its work by then
    end=$(($(date +%s) + $1))
    address=$(docker inspect -f '{{.NetworkSettings.Networks.programs.IPAddress}}' programs-app)
    until works "$2" "$3" > /tmp/checked 2>&1; do
        if [ "$(docker inspect -f '{{.State.Running}}' programs-app)" = false ] || [ "$(date +%s)" -gt "$end" ]; then
            docker logs --tail 4 programs-app 2>&1
            tail -n 4 /tmp/checked
            return 1
        fi
        sleep 1
    done
}

works() { # client inside
    if [ -n "$1" ]; then
        timeout 60 docker run --rm --runtime runc --network programs -e app="$address" programs:1 sh -c "set -e; $1" || return 1
    fi
    if [ -n "$2" ]; then timeout 60 docker exec programs-app sh -c "set -e; $2"; fi
}

remove() {
    docker ps -aq --filter name=^/programs- | xargs -r docker rm -f -v > /dev/null
    docker volume ls -q --filter name=^programs- | xargs -r docker volume rm > /dev/null
}
