#!/bin/sh
# dockerd as a unit of systemd: told to read its file again, started anew, and what it has logged.
# Set before it is read: unit timeout_s; before a function is called: began.
set -eu
: "${unit?}" "${timeout_s:?}"

service_name() { printf 'journalctl -u %s\n' "$unit"; }

service_reload() { # a unit without ExecReload cannot be reloaded, but dockerd can
    timeout 30 systemctl reload "$unit" || systemctl kill --kill-who=main --signal=HUP "$unit"
}

service_restart() {
    # systemd refuses a fourth start within a minute, and this may be the one too many
    systemctl reset-failed "$unit" || true
    service_bounded restart && return 0
    if [ "$service_code" != 124 ]; then return 1; fi # 124: still at it, timeout(1)
    if [ "$(systemctl is-active "$unit")" = deactivating ]; then
        service_kill # the old process did not end; systemd goes on to start the new one
        service_bounded restart && return 0
    fi
    # Docker's unit may start for ever (TimeoutStartSec=0). Stopped first, or Restart= brings it back.
    systemctl stop --no-block "$unit" || true
    service_kill
    timeout 20 systemctl stop "$unit" || true
    return 1
}

service_bounded() { # what systemctl shall do with the unit
    service_code=0
    timeout "$timeout_s" systemctl "$1" "$unit" || service_code=$?
    return "$service_code"
}

service_kill() { # not all of its processes: the shims of running containers may be among them
    for service_who in main control; do
        systemctl kill --kill-who="$service_who" --signal=KILL "$unit" 2> /dev/null || true # has none
    done
}

service_log() {
    journalctl -u "$unit" -q -o cat --since "@$began" --no-pager |
        grep -E 'level=(fatal|error)|failed to|unable to' | tail -n 3
}
