#!/bin/sh
# Removes what this package put on the node. Arguments: the paths to remove. Variables: link (remove the link
# /usr/local/bin/runsc: yes or no), state (remove our records: yes or no), state_dir.
set -eu
: "${link:?}" "${state:?}" "${state_dir:?}"
for path; do
    case "$path" in
        /opt/gvisor/releases/?* | /opt/gvisor/runtimes/?*) rm -rf -- "$path" ;;
        *)
            echo "$path does not belong to pyinfra-gvisor; it was not removed" >&2
            exit 1
            ;;
    esac
done
if [ "$link" = yes ]; then rm -f /usr/local/bin/runsc; fi
for directory in /opt/gvisor/releases /opt/gvisor/runtimes /opt/gvisor; do
    if [ -d "$directory" ]; then rmdir --ignore-fail-on-non-empty "$directory"; fi
done
if [ "$state" = yes ]; then
    if [ -e /etc/systemd/system/pyinfra-gvisor-scripts.path ]; then
        systemctl disable --quiet --now pyinfra-gvisor-scripts.path
        systemctl stop pyinfra-gvisor-scripts.service
        rm -f /etc/systemd/system/pyinfra-gvisor-scripts.path /etc/systemd/system/pyinfra-gvisor-scripts.service
        systemctl daemon-reload
    fi
    exec 9>> "$state_dir/lock"
    flock -w 120 9
    rm -rf "$state_dir" /run/pyinfra-gvisor
fi
