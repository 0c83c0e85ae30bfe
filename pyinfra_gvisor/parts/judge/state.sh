#!/bin/sh
# Prints the state of the resident judge. Read before node_state.sh.
judge_unit=/etc/systemd/system/pyinfra-gvisor-judge
judge_dir=/opt/gvisor/judge

judge_state() {
    if [ ! -d "$judge_dir" ] && [ ! -e "$judge_unit.socket" ]; then return 0; fi
    set -- "${judge_unit%/*}"/*.service.d/"${judge_unit##*/}.conf"
    files_of judge "$judge_unit.socket" "$judge_unit.service" "$judge_dir"/* "$@"
    if [ -L "${judge_unit%/*}/sockets.target.wants/${judge_unit##*/}.socket" ]; then echo 'judge enabled yes'; fi
    for kind in socket service; do
        if [ -f "$judge_unit.$kind" ]; then active_of "judge $kind" "${judge_unit##*/}.$kind"; fi
    done
    if [ -f "$1" ] && said=$(perl "$judge_dir/ask.pl" 5 /run/docker/plugins/pyinfra-gvisor.sock) && [ -z "$said" ]; then
        echo 'judge answers yes'
    fi
}
