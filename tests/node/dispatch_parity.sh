#!/bin/sh
# Does with a container what people do, and prints what came of it: a line "== what code" each, and the output below.
# Arguments: a short name for the containers, an image, and options of "docker run". What differs from run to run, such
# as ids, times and process numbers, is replaced: two runs with other runtimes can be compared.
set -u
short=$1 image=$2
PROCESS='trap "echo hung up" HUP; trap "echo asked to stop; exit 7" TERM; echo started; echo aside >&2
    while :; do sleep 60 & wait $!; done'
shift 2
main=$short-main
work=$(mktemp -d)
cd "$work" || exit 1

plain() {
    tr -d '\r\000\004' | sed -E -e '/rror waiting for container/d' -e 's/\^@//g' \
        -e "s/$short-/NAME-/g" -e 's/[0-9a-f]{64}/ID/g' -e 's/\b[0-9a-f]{12}\b/ID/g' \
        -e 's/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z?/TIME/g' -e 's/(pid|PID)[= ]?[0-9]+/PID/g'
}

seen() { # what, command
    what=$1
    shift
    code=0
    case "$1" in
        limit | shown | until_state) "$@" > out 2> err || code=$? ;;
        *) timeout 60 "$@" > out 2> err || code=$? ;;
    esac
    printf '== %s %s\n' "$what" "$code"
    cat out err | plain
}

shown() { docker inspect --format "$1" "$main"; }

limit() { # in bytes, in the node's control group, by either version of control groups
    id=$(shown '{{.Id}}')
    find /sys/fs/cgroup -path "*$id*" \( -name memory.limit_in_bytes -o -name memory.max \) -exec cat {} + | sort -u
}

until_state() { # as the health check sees it
    for _ in $(seq 60); do
        now=$(docker inspect --format '{{.State.Health.Status}}' "$short-health")
        [ "$now" != "$1" ] || return 0
        sleep 0.5
    done
    echo "$now"
    return 1
}

ready() { # times: waits until the process has begun so often, and handles signals
    for _ in $(seq 60); do
        if [ "$(docker logs "$main" 2> /dev/null | grep -c '^started')" -ge "$1" ]; then return 0; fi
        sleep 0.5
    done
}

docker volume create "$short-data" > /dev/null
set -- "$@" --label "test=$short"

long() { # the options: a container that is there for a while
    seen start docker run -d --name "$main" --memory 256m -v "$short-data:/data" "$@" "$image" sh -c "$PROCESS"
    ready 1
    seen kernel docker exec "$main" uname -v
    seen exec docker exec "$main" sh -c 'echo out; echo err >&2; exit 4'
    seen exec-missing docker exec "$main" /missing
    seen exec-directory docker exec "$main" /etc
    seen exec-user docker exec -u 1000:1001 -w /tmp -e ONE=two "$main" sh -c 'id -u; id -g; pwd; env | grep ONE'
    seen exec-input sh -c "echo given | docker exec -i $main cat"
    seen exec-terminal script -qec "docker exec -it $main sh -c 'test -t 0 && exit 5'" /dev/null
    seen exec-killed docker exec "$main" sh -c 'kill -9 $$'
    seen exec-detached docker exec -d "$main" sh -c 'echo later > /data/later'
    seen logs docker logs "$main"
    seen top sh -c "docker top $main -eo pid,comm | tr -s ' ' | sed -E 's/[0-9]+/N/g'"
    seen stats sh -c "docker stats --no-stream --format '{{.Name}} {{.MemUsage}}' $main | sed 's|[^ ]* / |used of |'"
    seen update docker update --memory 128m --memory-swap 128m "$main"
    seen limit limit
    seen pause docker pause "$main"
    seen exec-paused docker exec "$main" true
    seen paused shown '{{.State.Status}}'
    seen unpause docker unpause "$main"
    seen exec-unpaused docker exec "$main" true
    seen make docker exec "$main" sh -c 'echo made > /root/made; echo made > /data/made; cat /data/later'
    seen cp-out sh -c "docker cp $main:/root/made - | tar -xO"
    seen cp-out-volume sh -c "docker cp $main:/data/made - | tar -xO"
    echo given > given
    seen cp-in docker cp given "$main:/root/given"
    seen cp-in-seen docker exec "$main" cat /root/given
    seen cp-in-volume docker cp given "$main:/data/given"
    seen cp-in-volume-seen docker exec "$main" cat /data/given
    seen changed sh -c "docker diff $main | sort"
    seen restart docker restart -t 1 "$main"
    ready 2
    seen kept docker exec "$main" cat /root/made /data/made /root/given
    seen hangup docker kill -s HUP "$main"
    sleep 0.5
    seen hung-up docker logs --tail 1 "$main"
    seen kill docker kill "$main"
    seen killed shown '{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}} {{.State.Error}}'
    seen kill-dead docker kill "$main"
    seen exec-dead docker exec "$main" true
    seen start-again docker start "$main"
    ready 3
    seen remove-running docker rm "$main"
    seen stop docker stop -t 1 "$main"
    seen stopped shown '{{.State.Status}} {{.State.ExitCode}}'
    seen wait docker wait "$main"
    seen remove docker rm "$main"
    seen gone docker inspect "$main"
}

health() { # the options
    seen check docker run -d --name "$short-health" --health-interval 1s --health-retries 2 \
        --health-cmd 'test -e /tmp/well' "$@" "$image" sleep infinity
    seen ill until_state unhealthy
    seen heal docker exec "$short-health" touch /tmp/well
    seen well until_state healthy
    seen remove-well docker rm -f "$short-health"
}

once() { # name, options, command: a container that ends
    what=$1
    shift
    seen "$what" docker run --name "$short-$what" "$@"
    seen "$what-state" docker inspect --format '{{.State.Status}} {{.State.ExitCode}} {{.State.Error}}' "$short-$what"
}

long "$@"
health "$@"
once three "$@" "$image" sh -c 'echo three; exit 3'
once killed-inside "$@" "$image" sh -c 'kill -9 $$'
once missing "$@" "$image" /missing
once memory --memory 48m --memory-swap 48m "$@" "$image" tail /dev/zero
once init --init "$@" "$image" true
seen gone-by-itself docker run --rm --name "$short-rm" --read-only --network none "$@" "$image" true
seen none-left docker inspect "$short-rm"
seen input sh -c "echo given | docker run -i --rm $* $image cat"
seen terminal script -qec "docker run -it --rm $* $image sh -c 'test -t 0 && exit 6'" /dev/null
docker ps -aq --filter "label=test=$short" | xargs -r docker rm -f > /dev/null
docker volume rm "$short-data" > /dev/null
cd / && rm -rf "$work"
