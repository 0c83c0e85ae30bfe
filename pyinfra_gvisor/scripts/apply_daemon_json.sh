#!/bin/sh
# One transaction on daemon.json: write, bring into force, look, or put everything back.
# Set before: what is listed here, the function validate_file, and what dockerd.sh brings.
set -eu
: "${host:?}" "${file:?}" "${state_dir:?}" "${expect_sha256:?}" "${action:?}" "${wait_s:?}" "${keep:?}"
: "${after_b64:?}" "${neutral_b64:?}" "${survive_b64:?}" "${survived_b64:?}" "${executables?}"
: "${intent_b64:?}" "${owned_b64:?}" "${applied_b64:?}"
umask 022
trap '' HUP INT TERM # this runs detached, and ends what it has begun
work='' reason=''

say() { printf '%s\n' "$*"; }

die() { # nothing has been changed yet
    say "docker.daemon_json: $file on $host: $*; nothing was changed" >&2
    record_run refused "$*"
    clean
    exit 1
}

clean() {
    if [ -n "$work" ]; then rm -rf "$work"; fi
    if [ -n "${new:-}" ]; then rm -f "$new"; fi
}

record_run() { # result reason
    text=$(printf '%s' "$2" | tr -d '\042\134' | tr -c '[:print:]' ' ')
    printf '{"result":"%s","reason":"%s","action":"%s","at":"%s"}\n' "$1" "$text" "$action" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" |
        write_state last-run.json || say "could not write $state_dir/last-run.json" >&2
}

write_state() { # name, from standard input: all of it or nothing
    cat > "$state_dir/.$1.new" && sync "$state_dir/.$1.new" && mv "$state_dir/.$1.new" "$state_dir/$1"
}

sha256_of() {
    if [ -e "$1" ]; then
        sum=$(sha256sum < "$1")
        say "${sum%% *}"
    else
        say absent
    fi
}

stage() {
    mkdir -p "$(dirname "$file")"
    target=$file
    if [ -L "$file" ]; then target=$(readlink -f "$file"); fi
    new=$(dirname "$target")/.daemon.json.pyinfra-gvisor
    rm -f "$new"
    decode "$after_b64" "$work/after"
    decode "$neutral_b64" "$work/neutral"
    decode "$survive_b64" "$work/survive"
    decode "$survived_b64" "$work/survived"
    for path in $executables; do
        if [ ! -x "$path" ]; then die "the runtime's path $path is not executable"; fi
    done
}

decode() { # base64 file
    if [ "$1" = - ]; then return 0; fi
    printf '%s' "$1" | base64 -d > "$2" || die "cannot write $2, is the disk full?"
}

validate() {
    if [ ! -e "$work/after" ] || ! dockerd --help 2>&1 | grep -q -- --validate; then return 0; fi
    if ! validate_file "$work/after" > "$work/validate" 2>&1; then
        die "dockerd refuses the new file: $(tail -n 1 "$work/validate" | cut -c1-200)"
    fi
}

put() { # the file named by $1 becomes daemon.json, at once or not at all; no file: none
    if [ ! -e "$1" ]; then
        rm -f "$target"
    else
        cp "$1" "$new" || return 1
        if [ -e "$target" ]; then
            chmod --reference="$target" "$new" && chown --reference="$target" "$new" || return 1
        else
            chmod 0644 "$new" || return 1
        fi
        sync "$new" && mv "$new" "$target" || return 1
    fi
    sync "$(dirname "$target")"
}

snapshot() { running > "$work/running"; }

next_generation() {
    number=1
    for path in "$state_dir"/generations/*; do
        name=${path##*/}
        case "$name" in *[!0-9]*) continue ;; esac
        if [ "$name" -ge "$number" ]; then number=$((name + 1)); fi
    done
    generation=$state_dir/generations/$number
    mkdir -p "$generation"
    for path in "$target" "$state_dir/owned.json" "$state_dir/applied.json"; do
        if [ -e "$path" ]; then cp -p "$path" "$generation/"; fi
    done
    sync "$generation"
    old=$((number - keep))
    if [ "$old" -gt 0 ]; then rm -rf "$state_dir/generations/$old"; fi
}

ephemeral() { # names of running containers that a restart would end
    ids=$(docker_quick ps -q) || return 1
    # shellcheck disable=SC2086
    if [ -n "$ids" ]; then
        docker_quick inspect --format '{{if .HostConfig.AutoRemove}}{{.Name}}{{end}}' $ids | grep . | tr -d / | tr '\n' ' ' || true
    fi
}

no_ephemeral() { names=$(ephemeral) && [ -z "$names" ]; }

wait_for_ephemeral() {
    if no_ephemeral; then return 0; fi
    say "waiting up to $wait_s s for containers that a restart would end: $(ephemeral)"
    within "$wait_s" no_ephemeral
}

commit() {
    printf '%s' "$intent_b64" | base64 -d | write_state owned.json || die "cannot write $state_dir/owned.json"
    if [ -e "$work/neutral" ]; then
        put "$work/neutral" || return 1
        reload_dockerd || return 1
    fi
    put "$work/after" || return 1
}

bring_into_force() {
    case "$action" in
        nothing) return 0 ;;
        reload)
            reload_dockerd || return 1
            within 15 in_force || {
                reason="dockerd did not take the new file over within 15 s of the reload"
                return 1
            }
            ;;
        restart)
            if [ "$live_restore" = true ] && ! live_restore_is true; then
                reload_dockerd || return 1
                within 15 live_restore_is true || {
                    reason="live-restore did not come into force, a restart would have stopped containers"
                    return 1
                }
            fi
            wait_for_ephemeral || {
                reason="a restart would end $(ephemeral)after waiting $wait_s s"
                return 1
            }
            snapshot || return 1
            restart_dockerd || {
                reason="dockerd did not start"
                return 1
            }
            ;;
    esac
}

look() {
    if [ "$action" = nothing ]; then return 0; fi
    within "$timeout_s" answers || {
        reason="the Docker API did not answer within $timeout_s s"
        return 1
    }
    put_back_scripts || {
        reason="runtime scripts could not be put back"
        return 1
    }
    within "$timeout_s" in_force || {
        reason="the daemon runs, but not as declared (runtimes $runtimes, live-restore ${live_restore:-as it was})"
        return 1
    }
    lost=''
    within 10 none_lost || {
        reason="container $lost does not run as before"
        return 1
    }
}

put_back() {
    rm -f "$new"
    if [ "$restarted" = yes ]; then
        # An old file without live-restore would make dockerd end what still runs, so it starts with
        # live-restore, and only then gets back what it had.
        if [ -e "$work/survive" ]; then put "$work/survive"; else put "$old_file"; fi || return 1
        restart_dockerd || return 1
        within "$timeout_s" answers || return 1
        if [ -e "$work/survived" ]; then
            put "$work/survived" && reload_dockerd || return 1
        fi
        put "$old_file" || return 1
    else
        put "$old_file" || return 1
        if [ "$action" != nothing ]; then reload_dockerd || return 1; fi
    fi
    if [ -e "$generation/owned.json" ]; then
        cp -p "$generation/owned.json" "$state_dir/owned.json"
    else
        rm -f "$state_dir/owned.json"
    fi
}

revert() {
    reason=${reason:-could not write $file}
    log=$(dockerd_log) || log=''
    say "docker.daemon_json: $file on $host: $reason; going back to generation $number" >&2
    if [ -n "$log" ]; then say "dockerd's log: $log" >&2; fi
    outcome=reverted
    old_file=$generation/$(basename "$target")
    put_back || outcome="revert failed"
    put_back_scripts || outcome="revert failed"
    within 10 none_lost || say "container $lost does not run as before" >&2
    record_run "$outcome" "$reason"
    if [ "$outcome" = reverted ]; then
        say "the node runs its previous configuration" >&2
    else
        say "dockerd does not answer with the previous configuration either; look at journalctl -u docker" >&2
    fi
    clean
    exit 1
}

began=$(date +%s)
mkdir -p "$state_dir/generations"
chmod 0700 "$state_dir"
exec 9>> "$state_dir/lock"
flock -w 120 9 || die "another run holds $state_dir/lock for 120 s"
work=$(mktemp -d "$state_dir/work.XXXXXX") || die "cannot write to $state_dir, is the disk full?"
if [ "$(sha256_of "$file")" != "$expect_sha256" ]; then die "somebody changed it since it was read; run again"; fi
if [ "$action" = restart ] && ! supervised && ! command -v service > /dev/null; then die "nothing here can restart dockerd"; fi
stage
validate
if [ "$action" = restart ]; then wait_for_ephemeral || die "a restart would end $(ephemeral)and they still run after $wait_s s"; fi
if [ "$action" != nothing ]; then within 10 snapshot || die "the Docker API does not answer"; fi
next_generation || die "cannot write $state_dir/generations, is the disk full?"
if [ "$action" != nothing ]; then save_scripts || die "cannot copy dockerd's runtime scripts to $generation"; fi
if ! commit || ! bring_into_force || ! look; then revert; fi
printf '%s' "$owned_b64" | base64 -d | write_state owned.json
if [ "$action" != nothing ] || [ -e /run/docker.pid ]; then
    printf '%s' "$applied_b64" | base64 -d | sed "s|@DOCKERD@|$(identity)|" | write_state applied.json
fi
record_run applied ''
say "$file is in force ($action), generation $number is the one before"
clean
