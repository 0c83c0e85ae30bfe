#!/bin/sh
# Removes releases and wrappers that nothing needs. Arguments: their paths. Holds the lock of installations,
# and keeps each path that is in use by now. Comes after releases/users.sh.
set -eu
mkdir -p /run/pyinfra-gvisor
chmod 700 /run/pyinfra-gvisor # whoever can open a lock can hold it
exec 9>> /run/pyinfra-gvisor/release.lock
flock -w 600 9
rm -rf /opt/gvisor/releases/.gone-*
used=$(release_users)
for path; do
    name=${path##*/}
    case "$path" in
        /opt/gvisor/runtimes/?*)
            case "$used" in *"$path"*) continue ;; esac
            rm -f -- "$path"
            ;;
        /opt/gvisor/releases/?*)
            case "$used" in *"$path"* | *"-$name-"*) continue ;; esac
            # renamed first: a half-removed release must not look complete
            mv -- "$path" "/opt/gvisor/releases/.gone-$name"
            rm -rf -- "/opt/gvisor/releases/.gone-$name"
            ;;
        *)
            echo "$path does not belong to pyinfra-gvisor; it was not removed" >&2
            exit 1
            ;;
    esac
done
