#!/bin/sh
# Prints what only an audit needs, before the node's state. Changes nothing. Comes after docker_state.sh, which
# prints more because of "wide" below, and before node_state.sh.
# Variables: labels (names, one a line; no other label leaves the node), observed (functions that print what
# the audit needs about the parts).
set -u
export LC_ALL=C
# shellcheck disable=SC2034 # docker_state.sh reads it
wide=yes

# Waits until no proof runs: containers of ours without gVisor (proof/containers.sh) are no findings. While this shell
# holds the lock, no proof begins. The lock file has the seconds that the running proof may take.
without_proof() {
    lock=/run/pyinfra-gvisor/probe.lock
    if [ ! -r "$lock" ]; then return 0; fi # no proof ran since the node booted
    exec 8< "$lock"
    limit=''
    read -r limit <&8 || true
    case "$limit" in '' | *[!0-9]* | ?????*) limit=120 ;; esac
    flock -s -w $((limit + limit / 4 + 30)) 8 || true # if the lock is held longer, audit everything: nothing may hide that way
}

audit_files() {
    set --
    for path in /etc/docker /etc/docker/daemon.json /run/docker.sock /opt/gvisor /opt/gvisor/releases \
        /opt/gvisor/runtimes /var/lib/pyinfra-gvisor /opt/gvisor/runtimes/*; do
        if [ -e "$path" ]; then set -- "$@" "$path"; fi
    done
    if [ $# -gt 0 ]; then stat -L -c 'file %a %U:%G %n' "$@"; fi
}

# dockerd keeps its last 256 events only, and health checks fill them. The journal is read only if
# daemon.json was written after dockerd started.
audit_reloads() {
    # shellcheck disable=SC3013 # every sh on a supported node has -nt
    if [ ! /etc/docker/daemon.json -nt /run/docker.pid ] || ! command -v journalctl > /dev/null; then return 0; fi
    journalctl -q -b -t dockerd -o short-unix --no-hostname --since "@$(stat -c %Y /run/docker.pid)" |
        grep -F 'Reloaded configuration' | tail -n 1 | sed -n 's/^\([0-9.]*\) .*/reload_log \1/p'
}

# In a container on a virtual machine this prints the container: systemd-detect-virt(1).
virtualization() {
    if command -v systemd-detect-virt > /dev/null; then
        printf "virtualization %s\n" "$(systemd-detect-virt)"
    elif [ -e /.dockerenv ]; then
        echo "virtualization docker"
    fi
}

without_proof
virtualization
audit_files
audit_reloads
# shellcheck disable=SC2154 # a variable of the caller
for tells in $observed; do "$tells"; done
