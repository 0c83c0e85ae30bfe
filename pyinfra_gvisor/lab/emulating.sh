#!/bin/sh
# Runs a command that can start another architecture's programs, without a change to this machine:
# in a user namespace, which has formats of its own since Linux 6.7.
#   emulating.sh <formats, as in binfmt.d(5)> <command> …
set -eu

case "$1" in
    --unmapped)
        shift
        until [ "$(id -u)" = 0 ]; do sleep 0.1; done
        exec sh "$0" --mapped "$@" # this process becomes the namespace's root by exec only
        ;;
    --mapped)
        mount -t proc proc /proc
        mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
        cat "$2" >/proc/sys/fs/binfmt_misc/register
        shift 2
        exec "$@"
        ;;
esac

# unshare(1) would ask newuidmap(1), which refuses users below those of /etc/subuid even to root.
unshare --user --mount --pid --fork --kill-child sh "$0" --unmapped "$@" &
until [ "$(readlink "/proc/$!/ns/user")" != "$(readlink /proc/self/ns/user)" ]; do sleep 0.1; done
echo 0 0 65536 >"/proc/$!/gid_map"
echo 0 0 65536 >"/proc/$!/uid_map"
wait "$!"
