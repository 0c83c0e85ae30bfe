#!/bin/sh
# Prints the paths of releases and wrappers that are in use, one a line: by processes, containers (their shims
# remember the wrapper, their marks what the dispatcher chose), daemon.json and its generations, the program in the
# place of runc, and the resident judge. Changes nothing.
release_users() {
    find /proc -mindepth 2 -maxdepth 2 -name exe -lname '/opt/gvisor/releases/*' -printf '%l\0' 2> /dev/null |
        tr '\n\0' '?\n' # a container may choose odd paths; processes may end meanwhile
    find /run/pyinfra-gvisor/runtimes -type l -lname '/opt/gvisor/*' -printf '%l\n' 2> /dev/null || : # none without a default
    for tasks in /run/containerd /run/docker/containerd/daemon; do
        tasks=$tasks/io.containerd.runtime.v2.task/moby
        if [ -d "$tasks" ]; then
            find "$tasks" -mindepth 2 -maxdepth 2 '(' -name runtime -o -name options.json ')' \
                -exec sh -c 'grep -ohaE "/opt/gvisor/(runtimes|releases)/[A-Za-z0-9._-]+" "$@" || [ $? = 1 ]' sh {} +
        fi
    done
    grep -rohE '/opt/gvisor/(runtimes|releases)/[A-Za-z0-9._-]+' /etc/docker/daemon.json \
        /var/lib/pyinfra-gvisor /opt/gvisor/divert \
        /opt/gvisor/judge/serve 2> /dev/null || : # any of them may be missing
}
