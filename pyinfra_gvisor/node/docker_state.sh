#!/bin/sh
# Prints what Docker and /proc know about the daemon and each running container. Comes before node_state.sh.
# With wide=yes also: what containers were given that could break a sandbox, their labels named in $labels (one
# a line), sandboxes and engines without a container, and the locations of the paths in $guarded (one a line).

docker_state() {
    docker_client
    if [ ! -S "$docker_socket" ] && [ -z "$pid" ]; then return 0; fi
    if ! command -v perl > /dev/null; then
        echo "docker_error perl-base is not installed on the node, and Docker cannot be asked without it; install perl-base, a package that every Debian and Ubuntu has"
        return 0
    fi
    set -- "$docker_socket" "${wide:-}"
    while IFS= read -r label; do set -- "$@" "$label"; done << names
${labels:-}
names
    guarded=${guarded:-} perl -e "$docker_program" "$@"
}

# Debian's podman-docker has a script in the place of Docker's client. A program is not started: that would take as
# long as everything that dockerd is asked.
docker_client() {
    if ! client=$(command -v docker); then return 0; fi
    # shellcheck disable=SC3013 # every sh on a supported node has -ef
    if is_script "$client" || [ "$client" -ef /usr/bin/podman ]; then
        printf "docker_client %s\n" "$(docker --version)"
    else
        echo "docker_client docker"
    fi
}
