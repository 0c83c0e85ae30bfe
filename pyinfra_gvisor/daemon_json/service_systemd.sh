#!/bin/sh
# dockerd as a systemd unit: reload, restart and log. Variables: unit, timeout_s; for its functions: began.
set -eu
: "${unit?}" "${timeout_s:?}"

service_name() { printf 'journalctl -u %s\n' "$unit"; }

service_reload() { # a unit without ExecReload cannot be reloaded; dockerd itself can
    timeout 30 systemctl reload "$unit" || systemctl kill --kill-who=main --signal=HUP "$unit"
}

# systemd would stop units that require dockerd's unit, are bound to it or are part of it, and with them their
# containers. A job that ignores dependencies leaves them alone: tried with systemd 252 and 257.
alone=--job-mode=ignore-dependencies

service_runs() { [ "$(systemctl is-active "$unit")" = active ]; }

# If dockerd does not start, systemd starts it again by itself (Restart=), with Debian 12's unit after 100 ms. Such a
# start stops the units that depend on dockerd's. If their ExecStop= asks dockerd, they wait for dockerd and dockerd
# waits for them, until TimeoutStopSec=. With more time, a start that failed is stopped before systemd repeats it.
service_drop_in=/run/systemd/system/$unit.d/zz-pyinfra-gvisor.conf
service_retry_s=15

service_delay_retries() { # before other files for systemd are written, which must not be loaded
    if ! service_has_dependents || [ -e "$service_drop_in" ]; then return 0; fi
    # nor must a change of the unit that somebody has not loaded yet
    if [ "$(systemctl show --property=NeedDaemonReload --value "$unit")" != no ]; then return 0; fi
    mkdir -p "${service_drop_in%/*}" || return 1
    printf '[Service]\nRestartSec=%s\n' "$service_retry_s" > "$service_drop_in" && systemctl daemon-reload
}

service_restore_retries() { # after those files are removed
    if [ ! -e "$service_drop_in" ]; then return 0; fi
    rm -f "$service_drop_in"
    rmdir "${service_drop_in%/*}" 2> /dev/null || true # others may have files there
    systemctl daemon-reload
}

service_has_dependents() { # true if units stop together with dockerd's; Docker's socket does no harm
    systemctl show --property=RequiredBy,RequisiteOf,BoundBy,ConsistsOf --value "$unit" |
        tr ' ' '\n' | grep -v -e '^$' -e '\.socket$' > /dev/null
}

service_restart() {
    # systemd refuses a fourth start within a minute; this may be the fourth
    systemctl reset-failed "$unit" || true
    case "$(systemctl is-active "$unit")" in
        # stops no other unit, and starts dockerd's socket, which systemd may have given up as well
        inactive | failed) service_bounded start && return 0 ;;
        *) service_bounded restart "$alone" && return 0 ;;
    esac
    if [ "$(systemctl is-active "$unit")" = deactivating ]; then
        service_kill # the old process did not end; once it does, systemd starts the new one
        service_bounded restart "$alone" && return 0
    fi
    # Stopped before Restart= starts it again, which would restart the units that depend on it. A start of Docker's
    # unit may also hang forever (TimeoutStartSec=0).
    systemctl stop --no-block "$alone" "$unit" || true
    service_kill
    timeout 20 systemctl stop "$alone" "$unit" || true
    return 1
}

service_bounded() { timeout "$timeout_s" systemctl "$@" "$unit"; }

service_kill() { # not all processes of the unit: the shims of running containers may be among them
    for service_who in main control; do
        systemctl kill --kill-who="$service_who" --signal=KILL "$unit" 2> /dev/null || true # there may be no such process
    done
}

service_log() {
    journalctl -u "$unit" -q -o cat --since "@$began" --no-pager |
        grep -E 'level=(fatal|error)|failed to|unable to' | tail -n 3
}
