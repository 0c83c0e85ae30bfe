#!/bin/sh
# What Docker and /proc tell of the daemon and of each running container. Read in front of
# node_state.sh. With wide=yes also what containers were given that could undo a sandbox, their labels
# called $labels (a line each), sandboxes and engines that no container belongs to, and where what is
# called $guarded (paths, a line each) lies.

docker_state() {
    if command -v docker > /dev/null; then printf 'docker_client %s\n' "$(docker --version)"; fi
    if [ ! -S "$socket" ]; then return 0; fi
    if ! command -v perl > /dev/null; then
        echo 'docker_error perl-base is missing on the node, without which Docker cannot be asked'
        return 0
    fi
    set -- "$socket" "${wide:-}"
    while IFS= read -r label; do set -- "$@" "$label"; done << names
${labels:-}
names
    guarded=${guarded:-} perl -e "$docker_program" "$@"
}
