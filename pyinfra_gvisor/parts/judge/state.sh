#!/bin/sh
# Prints the state of the resident judge. Read before node_state.sh.
judge_unit=/etc/systemd/system/pyinfra-gvisor-judge

judge_state() {
    files_of judge "$judge_unit.socket" "$judge_unit.service"
    if [ -L "${judge_unit%/*}/sockets.target.wants/${judge_unit##*/}.socket" ]; then echo 'judge enabled yes'; fi
    for kind in socket service; do
        if [ -f "$judge_unit.$kind" ]; then active_of "judge $kind" "${judge_unit##*/}.$kind"; fi
    done
}
