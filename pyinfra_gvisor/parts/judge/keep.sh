#!/bin/sh
# Checks that the judge is resident, and starts it. Comes after begin.sh. Variables: judge_name (of its units).
: "${judge_name:?}"

judge_wrong() {
    for kind in socket service; do
        if ! systemctl is-active --quiet "$judge_name.$kind"; then say "$judge_name.$kind is not active, so containers start more slowly"; fi
    done
    if ! systemctl is-enabled --quiet "$judge_name.socket"; then say "$judge_name.socket is not enabled"; fi
}

judge_restore() {
    systemctl enable --quiet "$judge_name.socket"
    if ! systemctl is-active --quiet "$judge_name.socket"; then
        systemctl stop "$judge_name.service" # systemd does not start a socket whose service runs
        systemctl start "$judge_name.socket"
    fi
    systemctl start "$judge_name.service"
}
