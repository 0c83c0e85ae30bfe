#!/bin/sh
# One transaction on daemon.json: write, bring into force, look, or put everything back.
# Argument: none to do it; "resume" to end one that was interrupted; "boot" the same before dockerd
# has started. Set before: what is listed here, the functions validate_file and check_runtimes, and
# what journal.sh, service_*.sh, dockerd.sh, runtime_scripts.sh, runtime_users.sh, ports.sh and reach.sh
# bring.
set -eu
: "${host:?}" "${file:?}" "${expect_sha256:?}" "${wait_s:?}" "${can_live_restore:?}" "${seccomp?}" "${temporary:?}" "${leaving?}"
umask 022
trap '' HUP INT TERM # this runs detached, and ends what it has begun
reason=''

complain() { say "docker.daemon_json: $file on $host: $*" >&2; }

die() { # nothing has been changed yet
    complain "$*; nothing was changed"
    record_run refused "$*"
    if [ -n "${generation:-}" ]; then rm -rf "$generation"; fi
    forget
    exit 1
}

lock() { # seconds
    mkdir -p "$state_dir/generations" && chmod 0700 "$state_dir" || return 1
    exec 9>> "$state_dir/lock" && flock -w "$1" 9
}

not_twice() { # a controller that lost its connection may ask again for what has been done
    if ! grep -qsF "{\"id\":\"$id\"" "$state_dir/last-run.json"; then return 0; fi
    if grep -qF '"result":"applied"' "$state_dir/last-run.json"; then
        say "$file is in force, this very change was made before"
        exit 0
    fi
    complain "this very change was tried before; see $state_dir/last-run.json"
    exit 1
}

check_node() {
    if [ -n "$seccomp" ] && [ ! -s "$seccomp" ]; then
        die "/seccomp-profile: no such file, got $seccomp; dockerd would not start"
    fi
    check_runtimes
}

check_runtime() { # name path flags...: only what would start, with the flags that it knows
    name=$1 path=$2
    if ! command -v "$path" > /dev/null; then die "the runtime's path $path is not executable"; fi
    shift
    timeout 10 "$@" --version > "$work/said" 2>&1 < /dev/null || true
    if grep -q 'flag provided but not defined' "$work/said"; then
        die "/runtimes/$name: $path refuses its flags: $(head -n 1 "$work/said" | cut -c1-150)"
    fi
    if ! grep -q '^runsc ' "$work/said"; then return 0; fi
    # "list" reads every flag as "create" will, and an empty root keeps it away from real sandboxes
    if ! timeout 10 "$@" --root="$work/root.$name" list > "$work/said" 2>&1 < /dev/null; then
        die "/runtimes/$name: $path refuses its flags: $(tail -n 1 "$work/said" | cut -c1-150)"
    fi
}

validate() {
    if [ ! -e "$staged/after" ] || ! dockerd --help 2>&1 | grep -q -- --validate; then return 0; fi
    if ! validate_file "$staged/after" > "$work/said" 2>&1; then
        die "dockerd refuses the new file: $(tail -n 1 "$work/said" | masked | cut -c1-200)"
    fi
}

# The planner has refused what containers use; one may have come since. In $leaving a line for each
# runtime, as a line of runtime_users ends.
check_leaving() {
    if [ -z "$leaving" ]; then return 0; fi
    runtime_users > "$work/users" || die "a runtime would leave, and Docker does not tell which containers use it"
    say "$leaving" > "$work/leaving" || die "cannot write to $state_dir, is the disk full?"
    grep -F -f "$work/leaving" "$work/users" > "$work/said" && asked=0 || asked=$?
    if [ "$asked" -gt 1 ]; then die "cannot write to $state_dir, is the disk full?"; fi
    if [ "$asked" = 0 ]; then
        die "containers need runtimes that would leave: $(sed 's|^\["/||; s|".*,"| needs |; s|"]$|;|' "$work/said" | tr '\n' ' ')run again"
    fi
}

prepare() {
    if [ "$(sha256_of "$file")" != "$expect_sha256" ]; then die "somebody changed it since it was read; run again"; fi
    if grep -qsF " $target " /proc/self/mountinfo; then die "$target is a mount point, and busy; unmount it or edit its source"; fi
    write_down || die "cannot write to $state_dir or $(dirname "$target"), is the disk full or read-only?"
    check_node
    validate
    if [ "$action" = restart ] && ! wait_for_ephemeral; then
        die "a restart would end $(ephemeral)and they still run after $wait_s s"
    fi
    identity > "$work/dockerd" || die "cannot write to $state_dir, is the disk full?"
    if [ "$action" != nothing ]; then
        within 10 snapshot || die "the Docker API does not answer"
        save_scripts || die "cannot copy dockerd's runtime scripts to $work"
    fi
    check_leaving
    keep_generation || die "cannot write $state_dir/generations, is the disk full?"
    begin || die "cannot write to $state_dir or /etc/systemd, is the disk full or read-only?"
    if [ "$(sha256_of "$file")" != "$expect_sha256" ]; then die "somebody changed it just now; run again"; fi
}

wait_for_ephemeral() {
    if no_ephemeral; then return 0; fi
    say "waiting up to $wait_s s for containers that a restart would end: $(ephemeral)"
    within "$wait_s" no_ephemeral
}

same_dockerd() { [ "$(identity)" = "$(cat "$work/dockerd")" ]; }

restart_with() { # final on off: restarted with this file, and with live-restore on meanwhile
    first=$1
    if [ -e "$staged/$2" ]; then first=$2; fi
    if [ "$can_live_restore" = yes ] && answers && ! live_restore_is true; then
        # with the old file, or half of the new one would be in force already
        if [ -e "$staged/old_on" ]; then put old_on || return 1; fi
        if ! reload_dockerd || ! within 15 live_restore_is true; then
            reason="live-restore did not come into force, a restart would have stopped containers"
            return 1
        fi
    fi
    if [ "$1" = after ]; then
        within 5 reach_before || note "Docker did not tell its published ports, so that they were not tried"
        wait_for_ephemeral || {
            reason="a restart would end $(ephemeral)after waiting $wait_s s"
            return 1
        }
        snapshot || return 1
    fi
    step "restart $1" && put "$first" || return 1
    hold_ports || true # a moment without them is no reason to give up
    service_restart || {
        reason="dockerd did not start"
        return 1
    }
    within "$timeout_s" answers || {
        reason="the Docker API did not answer within $timeout_s s"
        return 1
    }
    release_ports || note "could not take what held published ports open away again (chain $held_chain, table $held_table)"
    put_back_scripts || return 1
    if [ "$first" = "$1" ]; then return 0; fi
    step "switch live-restore off" || return 1
    if [ -e "$staged/$3" ]; then put "$3" && reload_dockerd || return 1; fi
    put "$1" && reload_dockerd # without the key nothing changes, and what is there has been read
}

reload_with() { # final neutral: what the final one leaves out is made ineffective first
    if [ -e "$staged/$2" ] && [ "$action" != nothing ]; then
        put "$2" && step "reload $2" && reload_dockerd || return 1
    fi
    put "$1" || return 1
    if [ "$action" = nothing ]; then return 0; fi
    step "reload $1" && reload_dockerd
}

change() {
    step claim && write_state owned.json < "$work/intent" || return 1
    step write || return 1
    case "$action" in
        nothing | reload) reload_with after neutral ;;
        restart) restart_with after on off ;;
    esac
}

look() {
    if [ "$action" = nothing ]; then return 0; fi
    step look || return 1
    put_back_scripts || return 1
    within "$timeout_s" in_force || {
        reason="the daemon runs, but not as declared (runtimes $runtimes, live-restore ${live_restore:-as it was})"
        return 1
    }
    if ! same_dockerd; then
        within 10 none_lost || {
            reason="container $lost does not run as before"
            return 1
        }
        if [ -e "$work/served.before" ] && ! within 10 reach_holds; then
            reason="the published port $unreached answered before, and does not now"
            return 1
        fi
    fi
}

finish() { # it is in force; what is left is to say so
    write_state owned.json < "$work/owned" && write_state owned.copy.json < "$work/owned" || return 1
    applied=$work/applied
    if [ "$action" != restart ] && ! same_dockerd; then applied=$work/applied_anew; fi
    if [ -n "$(identity)" ]; then
        sed "s|@DOCKERD@|$(identity)|" "$applied" | write_state applied.json || return 1
    fi
    read -r number < "$work/number"
    if [ "$temporary" = yes ]; then
        rm -rf "$state_dir/generations/$number"
    else
        drop_old_generations
    fi
    record_run applied ''
    forget
}

put_back() { # the files and the daemon as they were
    if ! reached write; then return 0; fi
    if [ "${1:-}" = boot ]; then
        put old
    elif reached "restart after" || ! same_dockerd; then
        restart_with old old_on old_off
    else
        # where dockerd has taken nothing over, it may refuse the old file as well: it never loaded it
        reload_with old old_neutral || { [ "$never_loaded" = yes ] && put old && answers; }
    fi
}

put_back_records() { # [boot]
    if [ -e "$work/owned.before" ]; then
        if [ "$(sha256_of "$work/owned.before")" != "$(sha256_of "$state_dir/owned.json")" ]; then
            # a second name instead of a copy: the disk may be full
            ln -f "$work/owned.before" "$state_dir/.owned.json.new" &&
                mv "$state_dir/.owned.json.new" "$state_dir/owned.json" || return 1
        fi
    else
        rm -f "$state_dir/owned.json"
    fi
    # what is known of the process before is true of the one that was started with its file
    if [ "${1:-}" != boot ] && [ -s "$work/dockerd" ] && [ -e "$state_dir/applied.json" ] && ! same_dockerd; then
        if sed "s|$(cat "$work/dockerd")|$(identity)|" "$state_dir/applied.json" > "$work/applied.before"; then
            write_state applied.json < "$work/applied.before" || true # it counts as not known then
        fi
    fi
}

revert() { # [boot]: exits with 1 unless everything is as it was
    reason=${reason:-could not write $file}
    why=$reason never_loaded=no
    if [ "$refused" = yes ] && [ "$accepted" = no ]; then never_loaded=yes; fi
    log=$(service_log | masked | cut -c1-250) || log=''
    if reached write && ! ours_or_old; then
        complain "$why, and somebody else has changed the file since; it is left as it is"
        if [ "${1:-}" != boot ] && ! answers; then service_restart || true; fi
        record_run left "$why"
        forget
        return 0
    fi
    complain "$why; going back to what was before"
    if [ -n "$log" ]; then say "dockerd's log: $log" >&2; fi
    if ! put_back "${1:-}" || ! put_back_records "${1:-}"; then
        record_run "revert failed" "$why"
        complain "dockerd does not answer with the previous configuration either; look at $(service_name), then run again"
        return 1
    fi
    if [ "${1:-}" != boot ] && [ -s "$work/running" ] && ! within 10 none_lost; then
        say "container $lost does not run as before" >&2
    fi
    record_run reverted "$why"
    generation=$state_dir/generations/$(cat "$work/number")
    forget
    rm -rf "$generation"
    say "the node runs its previous configuration" >&2
}

resume() { # [boot]: an earlier transaction, which this very script was written for, did not end
    if [ ! -d "$pending" ]; then exit 0; fi
    work=$pending
    reason="the change of generation $(cat "$work/number") was interrupted"
    if reached 'done'; then
        finish
    else
        # of a boot before this one there is no process left to compare with
        read -r boot < /proc/sys/kernel/random/boot_id
        case "$(cat "$work/dockerd")" in "$boot"/*) ;; *) rm -f "$work/running" ;; esac
        revert "${1:-}"
    fi
}

began=$(date +%s)
case "${1:-}" in
    boot)
        lock 0 || exit 0 # it is going on
        resume boot
        exit
        ;;
    resume)
        lock 300 || exit 1
        resume
        exit
        ;;
esac
lock 120 || {
    complain "another run holds $state_dir/lock for 120 s, or it cannot be written; nothing was changed"
    exit 1
}
not_twice
if [ -d "$pending" ]; then
    complain "an earlier change was interrupted; run again, which ends it first"
    exit 1
fi
prepare
if ! change || ! look || ! step 'done'; then
    revert || true
    exit 1
fi
finish || {
    complain "is in force, but $state_dir cannot be written, is the disk full? Run again"
    exit 1
}
if [ "$temporary" = yes ]; then
    say "$file is in force ($action), which is temporary: no generation is kept of it"
else
    say "$file is in force ($action), generation $number is the one before"
fi
