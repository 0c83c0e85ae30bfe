#!/bin/sh
# Removes what this package put on the node. Arguments: the paths to remove. Variables: link (remove the link
# /usr/local/bin/runsc: yes or no), state (remove our records: yes or no), state_dir, file (daemon.json).
set -eu
: "${link:?}" "${state:?}" "${state_dir:?}" "${file:?}"
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
    if [ -e "$state_dir/daemon.json.refused" ]; then # another program has written it
        mkdir -p "$(dirname "$file")"
        mv -T --backup=numbered "$state_dir/daemon.json.refused" "$file.refused"
        echo "kept $file.refused, which another program wrote, and with which dockerd did not run" >&2
    fi
    rm -rf "$state_dir" /run/pyinfra-gvisor
fi
