#!/bin/sh
# What an audit looks at besides, printed in front of the node's state; changes nothing. Read between
# docker_state.sh, which it makes tell more, and node_state.sh.
# Set before: labels (names, a line each; no other label leaves the node), observed (the functions that
# tell what an audit looks at of the parts).
set -u
export LC_ALL=C
# shellcheck disable=SC2034 # docker_state.sh reads it
wide=yes

# A proof has containers for comparison, of which nothing is to be found fault with: prove.sh. None
# begins until this shell has ended. In the lock stands how many seconds it may take.
without_proof() {
    lock=/run/pyinfra-gvisor/probe.lock
    if [ ! -r "$lock" ]; then return 0; fi # none was made since the node began
    exec 8< "$lock"
    limit=''
    read -r limit <&8 || true
    case "$limit" in '' | *[!0-9]* | ?????*) limit=120 ;; esac
    flock -s -w $((limit + limit / 4 + 30)) 8 || true # who has it for longer is not to hide anything
}

audit_files() {
    set --
    for path in /etc/docker /etc/docker/daemon.json /run/docker.sock /opt/gvisor /opt/gvisor/releases \
        /opt/gvisor/runtimes /var/lib/pyinfra-gvisor /opt/gvisor/runtimes/*; do
        if [ -e "$path" ]; then set -- "$@" "$path"; fi
    done
    if [ $# -gt 0 ]; then stat -L -c 'file %a %U:%G %n' "$@"; fi
}

# dockerd remembers its last 256 events only, and a health check is some. The journal is asked only
# where daemon.json was written after dockerd had started.
audit_reloads() {
    # shellcheck disable=SC3013 # every sh that a node may have knows -nt
    if [ ! /etc/docker/daemon.json -nt /run/docker.pid ] || ! command -v journalctl > /dev/null; then return 0; fi
    journalctl -q -b -t dockerd -o short-unix --no-hostname --since "@$(stat -c %Y /run/docker.pid)" |
        grep -F 'Reloaded configuration' | tail -n 1 | sed -n 's/^\([0-9.]*\) .*/reload_log \1/p'
}

# Of a container on a virtual machine the container is named: systemd-detect-virt(1).
virtualization() {
    if command -v systemd-detect-virt > /dev/null; then
        printf 'virtualization %s\n' "$(systemd-detect-virt)"
    elif [ -e /.dockerenv ]; then
        echo 'virtualization docker'
    fi
}

without_proof
virtualization
audit_files
audit_reloads
# shellcheck disable=SC2154 # set before
for tells in $observed; do "$tells"; done
