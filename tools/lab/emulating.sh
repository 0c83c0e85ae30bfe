#!/bin/sh
# Runs a command that can start another architecture's programs, without changing this machine: in a user
# namespace, which can have its own binary formats since Linux 6.7.
#   emulating.sh <formats, as in binfmt.d(5)> <command> …
set -eu

case "$1" in
    --unmapped)
        shift
        until [ "$(id -u)" = 0 ]; do sleep 0.1; done
        exec sh "$0" --mapped "$@" # only exec makes this process root in the namespace
        ;;
    --mapped)
        mount -t proc proc /proc
        mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
        cat "$2" >/proc/sys/fs/binfmt_misc/register
        shift 2
        exec "$@"
        ;;
esac

# Maps users here: unshare(1) would call newuidmap(1), which refuses users outside /etc/subuid, even for root.
unshare --user --mount --pid --fork --kill-child sh "$0" --unmapped "$@" &
until [ "$(readlink "/proc/$!/ns/user")" != "$(readlink /proc/self/ns/user)" ]; do sleep 0.1; done
echo 0 0 65536 >"/proc/$!/gid_map"
echo 0 0 65536 >"/proc/$!/uid_map"
wait "$!"
