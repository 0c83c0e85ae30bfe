#!/bin/sh
# Prints the state of the door. Read before node_state.sh.
door_unit=/etc/systemd/system/pyinfra-gvisor-door
door_dir=/opt/gvisor/door

door_state() {
    if [ ! -d "$door_dir" ] && [ ! -e "$door_unit.socket" ]; then return 0; fi
    files_of door "$door_unit.socket" "$door_unit.service" "$door_dir"/* /etc/systemd/system/*.service.d/pyinfra-gvisor-door.conf
    if [ -L "${door_unit%/*}/sockets.target.wants/${door_unit##*/}.socket" ]; then echo 'door enabled yes'; fi
    for kind in socket service; do
        if [ -f "$door_unit.$kind" ]; then active_of "door $kind" "${door_unit##*/}.$kind"; fi
    done
    if [ -f "$door_dir/ask.pl" ] && said=$(perl "$door_dir/ask.pl" 5 /run/docker/plugins/pyinfra-gvisor.sock) && [ -z "$said" ]; then echo 'door judged yes'; fi
}
