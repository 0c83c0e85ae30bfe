#!/bin/sh
# Prints what Docker and /proc know about the daemon and each running container. Comes before node_state.sh.
# With wide=yes also: what containers were given that could break a sandbox, their labels named in $labels (one
# a line), sandboxes and engines without a container, and the locations of the paths in $guarded (one a line).

docker_state() {
    if command -v docker > /dev/null; then printf 'docker_client %s\n' "$(docker --version)"; fi
    if [ ! -S "$docker_socket" ] && [ -z "$pid" ]; then return 0; fi
    if ! command -v perl > /dev/null; then
        echo 'docker_error perl-base is not installed on the node, and Docker cannot be asked without it; install perl-base, a package that every Debian and Ubuntu has'
        return 0
    fi
    set -- "$docker_socket" "${wide:-}"
    while IFS= read -r label; do set -- "$@" "$label"; done << names
${labels:-}
names
    guarded=${guarded:-} perl -e "$docker_program" "$@"
}
