#!/bin/sh
# Changes daemon.json in one transaction: write the file, apply it, check the result, or roll everything back.
# Argument: none: make the change. "resume": finish or undo a change that was interrupted. "boot": undo it
# before dockerd starts. Variables: those checked below. Functions: validate_file, check_runtimes, and those
# of journal.sh, service_*.sh, dockerd.sh, runtime_scripts.sh, runtime_users.sh, ports.sh and reach.sh.
set -eu
: "${host:?}" "${file:?}" "${expect_sha256:?}" "${wait_s:?}" "${can_live_restore:?}" "${seccomp?}" "${temporary:?}" "${leaving?}"
umask 022
trap '' HUP INT TERM # runs detached from the SSH session, and must finish what it has begun
reason=''
unrestarted=no    # the restart for the new file was noted, and then not made
restarted_back=no # dockerd was restarted with the old file

complain() { say "docker.daemon_json: $file on $host: $*" >&2; }

die() { # nothing has been changed yet
    complain "$*; nothing was changed"
    record_run refused "$*"
    if [ -n "${generation:-}" ]; then rm -rf "$generation"; fi
    conclude
    exit 1
}

conclude() { # removes everything: the change has ended, applied or undone
    forget && forgotten=0 || forgotten=1
    service_restore_retries || true
    return "$forgotten"
}

lock() { # seconds
    mkdir -p "$state_dir/generations" && chmod 0700 "$state_dir" || return 1
    exec 9>> "$state_dir/lock" && flock -w "$1" 9
}

not_twice() { # a controller that lost its connection may send the same change again
    if ! grep -qsF "{\"id\":\"$id\"" "$state_dir/last-run.json"; then return 0; fi
    if grep -qF '"result":"applied"' "$state_dir/last-run.json"; then
        say "$file: this change was already applied"
        exit 0
    fi
    complain "this change was tried before and failed; see $state_dir/last-run.json"
    exit 1
}

check_node() {
    if [ -n "$seccomp" ] && [ ! -s "$seccomp" ]; then
        die "/seccomp-profile: no such file, got $seccomp; dockerd would not start"
    fi
    check_runtimes
}

check_runtime() { # name path flags...: die unless the program exists and accepts the flags
    name=$1 path=$2
    if ! program=$(command -v "$path") || [ ! -f "$program" ] || [ ! -x "$program" ]; then die "/runtimes/$name: path $path is not executable"; fi
    shift
    timeout 10 "$@" --version > "$work/said" 2>&1 < /dev/null || true
    if grep -q 'flag provided but not defined' "$work/said"; then
        die "/runtimes/$name: $path refuses its flags: $(head -n 1 "$work/said" | cut -c1-150)"
    fi
    if ! grep -q '^runsc ' "$work/said"; then return 0; fi
    # "list" parses flags as "create" does. With an empty root it sees no real sandbox.
    if ! timeout 10 "$@" --root="$work/root.$name" list > "$work/said" 2>&1 < /dev/null; then
        die "/runtimes/$name: $path refuses its flags: $(tail -n 1 "$work/said" | cut -c1-150)"
    fi
}

validate() {
    if [ -e "$staged/after" ] && ! accepts "$staged/after"; then die "dockerd refuses the new file: $(refusal)"; fi
}

accepts() { # file
    program=$(dockerd_program)
    if ! "$program" --help 2>&1 | grep -q -- --validate; then return 0; fi
    validate_file "$1" > "$work/said" 2>&1
}

refusal() { tail -n 1 "$work/said" | masked | cut -c1-200; }

# The plan was refused if a container used a runtime that it removes. A container may have come since.
# $leaving: one line for each runtime that is removed, equal to the end of a line of runtime_users.
check_leaving() {
    if [ -z "$leaving" ]; then return 0; fi
    runtime_users > "$work/users" || die "a runtime is to be removed, but Docker does not list the containers that may use it"
    say "$leaving" > "$work/leaving" || die "cannot write to $state_dir, is the disk full?"
    grep -F -f "$work/leaving" "$work/users" > "$work/said" && asked=0 || asked=$?
    if [ "$asked" -gt 1 ]; then die "cannot write to $state_dir, is the disk full?"; fi
    if [ "$asked" = 0 ]; then
        die "containers use runtimes that are to be removed: $(sed 's|^\["/||; s|".*,"| uses |; s|"]$|;|' "$work/said" | tr '\n' ' ')run again"
    fi
}

prepare() {
    if [ "$(sha256_of "$file")" != "$expect_sha256" ]; then die "the file has changed since it was read; run again"; fi
    if grep -qsF " $target " /proc/self/mountinfo; then die "$target is a mount point and cannot be replaced; unmount it, or edit the file that is mounted there"; fi
    write_down || die "cannot write to $state_dir or $(dirname "$target"), is the disk full or read-only?"
    # what others write from now on is seen as a difference from this copy
    if [ "$(sha256_of "$staged/old")" != "$expect_sha256" ]; then die "the file has just changed; run again"; fi
    check_node
    validate
    if [ "$action" != nothing ] && ! plugins_answer after; then die "$reason"; fi
    if [ "$action" = restart ] && ! check_units; then die "$reason"; fi
    if [ "$action" = restart ] && ! wait_for_ephemeral; then
        die "a restart of dockerd would end the --rm containers $(ephemeral), which still run after $wait_s s"
    fi
    identity > "$work/dockerd" || die "cannot write to $state_dir, is the disk full?"
    if [ "$action" != nothing ]; then
        within 10 snapshot || die "the Docker API does not answer"
        save_scripts || die "cannot copy dockerd's runtime scripts to $work"
    fi
    check_leaving
    keep_generation || die "cannot write $state_dir/generations, is the disk full?"
    if [ "$action" = restart ]; then service_delay_retries || true; fi # there is then less time to stop a failed start
    begin || die "cannot write to $state_dir or /etc/systemd, is the disk full or read-only?"
}

wait_for_ephemeral() {
    if no_ephemeral; then return 0; fi
    say "waiting up to $wait_s s for --rm containers, which a restart of dockerd would end: $(ephemeral)"
    within "$wait_s" no_ephemeral
}

same_dockerd() { [ "$(identity)" = "$(cat "$work/dockerd")" ]; }

load() { # name: has dockerd reload with this staged file, or for that time with one of the same effect that it accepts
    passing=$1
    if [ -e "$staged/load_$1" ]; then passing=load_$1; fi
    plugins_answer "$1" || [ -n "${going_back:-}" ] || return 1
    put "$passing" && reload_dockerd && put "$1"
}

# True if a restart ends no container: live-restore is on in what the running dockerd has loaded.
keeps_containers() { [ "$can_live_restore" != yes ] || ! dockerd_runs || live_restore_is true; }

# Going back from a dockerd that does not answer, only a restart is left.
is_hung() { [ -n "${going_back:-}" ] && dockerd_runs && ! answers; }

switch_live_restore_on() { # reloads the old file with live-restore on: the new file would apply by half
    bridge=old
    if [ -e "$staged/old_on" ]; then bridge=old_on; fi
    if is_hung; then # it reloads if it wakes up before it ends
        put "$bridge" || return 1
        service_reload || true
        within 5 live_restore_is true || true
        return 0
    fi
    if load "$bridge" && within 15 live_restore_is true; then return 0; fi
    if [ -z "$reason" ] || [ "$refused" = yes ]; then
        reason="live-restore could not be switched on, and a restart would have stopped containers"
    fi
    return 1
}

restart_with() { # final on off: restart with this file; live-restore is on until dockerd answers
    first=$1
    if [ -e "$staged/$2" ]; then first=$2; fi
    if ! keeps_containers; then switch_live_restore_on || return 1; fi
    if [ "$1" = after ]; then
        within 5 reach_before || note "published ports were not tested: Docker did not list them"
        wait_for_ephemeral || {
            reason="a restart of dockerd would end the --rm containers $(ephemeral), which still run after $wait_s s"
            return 1
        }
    fi
    hold_ports || true # a short interruption of published ports is no reason to stop
    # as late as possible: what others remove before is no loss of ours
    if [ "$1" = after ]; then
        check_units || return 1
        within 10 snapshot || {
            reason="the Docker API does not list the containers"
            return 1
        }
    fi
    # others may have switched it off meanwhile
    is_hung || within 10 keeps_containers || {
        reason="live-restore is no longer on, or dockerd does not answer: a restart would have stopped containers"
        return 1
    }
    plugins_answer "$first" || [ -n "${going_back:-}" ] || return 1
    # last: a program that has read the file before must not have time to write it without live-restore
    { step "restart $1" && put "$first"; } || {
        if [ "$1" = after ]; then unrestarted=yes; fi
        return 1
    }
    service_restart || {
        reason="dockerd did not start"
        return 1
    }
    within "$timeout_s" answers || {
        reason="the Docker API did not answer within $timeout_s s"
        return 1
    }
    kernel_time > "$work/back" || true # without this time no container counts as ended later
    release_ports || note "could not remove the firewall rules that held published ports open (chain $held_chain, table $held_table)"
    if [ "$1" = after ] && [ "$proxy_ends" = yes ]; then
        reflect || note "containers that run may not reach their own published ports until they are started again"
    fi
    put_back_scripts || return 1
    if [ "$first" = "$1" ]; then return 0; fi
    step "switch live-restore off" || return 1
    if [ -e "$staged/$3" ]; then load "$3" || return 1; fi
    load "$1" # this file may lack the key: dockerd then keeps the value that it has read
}

reload_with() { # final neutral: keys that the final file lacks are first set to their neutral values
    if [ -e "$staged/$2" ] && [ "$action" != nothing ]; then
        step "reload $2" && load "$2" || return 1
    fi
    if [ "$action" = nothing ]; then
        put "$1"
    else
        step "reload $1" && load "$1"
    fi
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
        reason="dockerd runs, but not with the declared runtimes ($runtimes) or live-restore (${live_restore:-unchanged})"
        return 1
    }
    if ! same_dockerd; then
        within 10 none_lost || {
            reason=$lost
            return 1
        }
        if [ -e "$work/served.before" ] && ! within 10 reach_holds; then
            reason="$unreached"
            return 1
        fi
    fi
}

finish() { # the change is applied: record it
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
        kept=", generation $number is from before"
    fi
    record_run applied ''
    conclude
}

put_back() { # [boot]: restores the file, and has dockerd run with it
    if ! reached write; then return 0; fi
    go_back "${1:-}" || { put_aside && go_back "${1:-}"; }
}

go_back() { # [boot]
    if [ "${1:-}" = boot ]; then
        put old && { [ ! -e "$target" ] || accepts "$target"; }
    elif reached "restart after" && [ "$unrestarted" = no ]; then
        restart_back
    else # the plan may exclude a restart
        reload_back || { ! same_dockerd && may_restart && restart_back; }
    fi && put old # others may have written what they had read before
}

restart_back() { restart_with old old_on old_off && restarted_back=yes; }

reload_back() {
    if reload_with old old_neutral; then
        same_dockerd || within 10 answers
        return
    fi
    # a dockerd that refused the new file may refuse the old one too, if it was never loaded
    [ "$never_loaded" = yes ] && put old && answers
}

may_restart() { ! dockerd_runs || { check_units && { is_hung || wait_for_ephemeral; }; }; }

put_aside() { # the node has to work: a file of others that dockerd refuses is moved away
    if [ ! -d "$staged" ] || { [ ! -e "$staged/old" ] && [ "$expect_sha256" != absent ]; }; then return 1; fi
    for path in "$staged"/*; do
        if [ "$(sha256_of "$path")" = "$(sha256_of "$target")" ]; then return 1; fi
    done
    aside=$state_dir/daemon.json.refused
    cp -p "$target" "$aside" || return 1
    if [ -e "$staged/old" ]; then
        cp -p "$staged/old" "$staged/.next" && mv -f "$staged/.next" "$target" || return 1
    else
        rm -f "$target"
    fi
    note "dockerd does not work with what another program wrote to $target; that file is now $aside"
}

put_back_records() { # [boot]
    if [ -e "$work/owned.before" ]; then
        if [ "$(sha256_of "$work/owned.before")" != "$(sha256_of "$state_dir/owned.json")" ]; then
            # a hard link, not a copy: the disk may be full
            ln -f "$work/owned.before" "$state_dir/.owned.json.new" &&
                mv "$state_dir/.owned.json.new" "$state_dir/owned.json" || return 1
        fi
    else
        rm -f "$state_dir/owned.json"
    fi
    # the new process was started with the same file: what is recorded of the old process holds for it
    if [ "$restarted_back" = yes ] && [ -s "$work/dockerd" ] && [ -e "$state_dir/applied.json" ] && ! same_dockerd; then
        if sed "s|$(cat "$work/dockerd")|$(identity)|" "$state_dir/applied.json" > "$work/applied.before"; then
            write_state applied.json < "$work/applied.before" || true # the record then counts as unknown
        fi
    fi
}

revert() { # [boot]: restores everything; returns 1 if that fails
    reason=${reason:-cannot write $file}
    why=$reason never_loaded=no
    if [ "$refused" = yes ] && [ "$accepted" = no ]; then never_loaded=yes; fi
    log=$(service_log | masked | cut -c1-250) || log=''
    going_back=yes
    complain "$why; rolling back"
    if [ -n "$log" ]; then say "dockerd's log: $log" >&2; fi
    reason=''
    if ! put_back "${1:-}" || ! put_back_records "${1:-}"; then
        record_run "revert failed" "$why"
        complain "${reason:+$reason; }dockerd does not answer with the previous configuration either; see $(service_name), then run again"
        return 1
    fi
    if [ "${1:-}" != boot ] && [ -s "$work/running" ] && ! within 10 none_lost; then
        say "$lost" >&2
    fi
    record_run reverted "$why"
    generation=$state_dir/generations/$(cat "$work/number")
    conclude
    rm -rf "$generation"
    say "the node runs its previous configuration" >&2
}

resume() { # [boot]: finishes or undoes the interrupted transaction that this copy of the script belongs to
    if [ ! -d "$pending" ]; then exit 0; fi
    work=$pending
    reason="the change of generation $(cat "$work/number") was interrupted"
    if reached 'done'; then
        finish
    elif reached write && [ ! -d "$staged" ]; then
        reason="$reason, and cannot be undone: $staged is missing; $target stays as it is"
        record_run "revert failed" "$reason"
        complain "$reason. Compare it with the file in $state_dir/generations/$(cat "$work/number"), then run again"
        conclude
        return 1
    else
        # after a reboot no earlier process is left to compare with
        read -r boot < /proc/sys/kernel/random/boot_id
        case "$(cat "$work/dockerd")" in "$boot"/*) ;; *) rm -f "$work/running" ;; esac
        revert "${1:-}"
    fi
}

began=$(date +%s)
case "${1:-}" in
    boot)
        lock 0 || exit 0 # the transaction is still running
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
    complain "cannot lock $state_dir/lock within 120 s: $(holder "$state_dir/lock") holds it, or the disk cannot be written; nothing was changed. Wait until it ends, then run again"
    exit 1
}
not_twice
if [ -e "$pending" ] || [ -L "$pending" ]; then
    complain "an earlier change was interrupted; run again: that finishes or undoes it first"
    exit 1
fi
prepare
if ! change || ! look || ! put after || ! step 'done'; then # others may have written what they had read before
    revert || true
    settle_links
    exit 1
fi
settle_links
finish || {
    complain "the change is applied, but $state_dir cannot be written; is the disk full? Run again"
    exit 1
}
if [ "$temporary" = yes ]; then
    say "$file: change applied (dockerd: $action). It is temporary, so no generation is kept"
else
    say "$file: change applied (dockerd: $action). Generation $number has the files from before"
fi
