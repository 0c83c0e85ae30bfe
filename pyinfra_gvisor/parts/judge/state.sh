#!/bin/sh
# Prints the state of the resident judge. Read before node_state.sh.
judge_unit=/etc/systemd/system/pyinfra-gvisor-judge
judge_dir=/opt/gvisor/judge

judge_state() {
    if [ ! -d "$judge_dir" ] && [ ! -e "$judge_unit.socket" ]; then return 0; fi
    judge_asked=/run/docker/plugins/pyinfra-gvisor.sock
    files_of judge "$judge_unit.socket" "$judge_unit.service" "$judge_dir"/* "${judge_unit%/*}"/*.service.d/"${judge_unit##*/}.conf"
    if [ -L "${judge_unit%/*}/sockets.target.wants/${judge_unit##*/}.socket" ]; then echo "judge enabled yes"; fi
    for kind in socket service; do
        if [ -f "$judge_unit.$kind" ]; then active_of "judge $kind" "${judge_unit##*/}.$kind"; fi
    done
    if [ -S "$judge_asked" ] && said=$(perl "$judge_dir/ask.pl" 5 "$judge_asked") && [ -z "$said" ]; then
        echo "judge answers yes"
    fi
    if [ -f "$judge_dir/volumes" ]; then echo "judge links $("$judge_dir/volumes")"; fi
    for permit in /run/pyinfra-gvisor/permit-*.taken /run/pyinfra-gvisor/permit-*.container; do
        if [ -f "$permit" ]; then echo "judge permit $(printf '%s' "${permit##*/permit-}" | tr -dc '0-9a-z.') $(base64 -w 0 "$permit")"; fi
    done
}
