#!/bin/sh
# Checks the runtimes that dockerd has registered. Comes after begin.sh. Variables: runtimes_declared (lines as info.pl
# prints them), runtimes_ask (info.pl with what it needs), runtimes_records (the directory of our records),
# runtimes_dockerd (dockerd's unit; empty if something else than systemd has started dockerd).
: "${runtimes_declared:?}" "${runtimes_ask:?}" "${runtimes_records:?}" "${runtimes_dockerd?}"

runtimes_wrong() {
    rm -f "$keeper_run/docker"
    if runtimes_busy; then return "$later"; fi
    # Who connects to docker.socket starts the dockerd that an operator has stopped.
    if [ -n "$runtimes_dockerd" ]; then
        case "$(systemctl show -p ActiveState -p Job "$runtimes_dockerd")" in
            *Job=[1-9]* | *=activating* | *=deactivating* | *=reloading*)
                say "$runtimes_dockerd is being started or stopped; see systemctl status $runtimes_dockerd"
                return "$later"
                ;;
            *=active*) ;;
            *) say "$runtimes_dockerd is not active, so dockerd was not asked for its runtimes; systemctl start $runtimes_dockerd" && return 0 ;;
        esac
    fi
    if ! found=$(/usr/bin/perl -e "$runtimes_ask" info "$docker_socket" 2>&1); then
        say "Docker does not answer ($(say "$found" | tail -n 1)); see systemctl status ${runtimes_dockerd:-docker}"
        return 0
    fi
    say "$found" | sed -n 's/^server //p' > "$keeper_run/docker"
    other=$(say "$runtimes_declared" | while IFS= read -r declared; do
        if ! is_line "$declared" "$found"; then say "dockerd does not have this as declared: $declared"; fi
    done)
    if [ -z "$other" ]; then return 0; fi
    if runtimes_busy; then return "$later"; fi
    say "$other"
    if is_changing; then return "$later"; fi
}

runtimes_busy() { # true while daemon.json is changed, or until an interrupted change has ended; prints that
    if [ -d "$runtimes_records/pending" ]; then
        say 'a change of daemon.json has not ended'
    elif [ -e "$runtimes_records/lock" ] && ! flock -n "$runtimes_records/lock" true; then
        say "another program holds $runtimes_records/lock; see lslocks"
    else
        return 1
    fi
}
