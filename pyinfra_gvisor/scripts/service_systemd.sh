#!/bin/sh
# dockerd as a systemd unit: reload, restart and log. Variables: unit, timeout_s; for its functions: began.
set -eu
: "${unit?}" "${timeout_s:?}"

service_name() { printf 'journalctl -u %s\n' "$unit"; }

service_reload() { # a unit without ExecReload cannot be reloaded; dockerd itself can
    timeout 30 systemctl reload "$unit" || systemctl kill --kill-who=main --signal=HUP "$unit"
}

service_restart() {
    # systemd refuses a fourth start within a minute; this may be the fourth
    systemctl reset-failed "$unit" || true
    service_bounded restart && return 0
    if [ "$service_code" != 124 ]; then return 1; fi # 124: timeout(1) ended it
    if [ "$(systemctl is-active "$unit")" = deactivating ]; then
        service_kill # the old process did not end; once it does, systemd starts the new one
        service_bounded restart && return 0
    fi
    # A start of Docker's unit may hang forever (TimeoutStartSec=0). Stopped first, as Restart= would start it again.
    systemctl stop --no-block "$unit" || true
    service_kill
    timeout 20 systemctl stop "$unit" || true
    return 1
}

service_bounded() { # command for systemctl: runs it with the time limit; sets service_code
    service_code=0
    timeout "$timeout_s" systemctl "$1" "$unit" || service_code=$?
    return "$service_code"
}

service_kill() { # not all processes of the unit: the shims of running containers may be among them
    for service_who in main control; do
        systemctl kill --kill-who="$service_who" --signal=KILL "$unit" 2> /dev/null || true # there may be no such process
    done
}

service_log() {
    journalctl -u "$unit" -q -o cat --since "@$began" --no-pager |
        grep -E 'level=(fatal|error)|failed to|unable to' | tail -n 3
}
