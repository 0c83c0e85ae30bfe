#!/bin/sh
# Checks that the door answers, and opens it. Comes after begin.sh. Variables: door_name (of its units), door_address
# (its socket), door_ask (a program that asks).
: "${door_name:?}" "${door_address:?}" "${door_ask:?}"

door_wrong() {
    if ! systemctl is-active --quiet "$door_name.socket"; then say "$door_name.socket is not active: dockerd will not start"; fi
    if ! systemctl is-enabled --quiet "$door_name.socket"; then say "$door_name.socket is not enabled: dockerd will not start after a reboot"; fi
    if ! door_said=$(perl "$door_ask" 5 "$door_address") || [ -n "$door_said" ]; then say "$door_name.service does not answer, so that Docker does nothing new"; fi
}

door_restore() {
    systemctl enable --quiet "$door_name.socket"
    systemctl restart "$door_name.socket" "$door_name.service" # the socket may have been replaced
}
