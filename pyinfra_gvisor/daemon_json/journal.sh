#!/bin/sh
# Keeps on the node what the next run needs to finish or undo a change of daemon.json after a crash or a power cut.
# Comes after record_change.sh and before daemon_json/apply.sh. Variables: those checked below. Sets: target, staged, work.
set -eu
: "${file:?}" "${state_dir:?}" "${keep:?}" "${id:?}" "${action:?}" "${unit?}"
: "${after_b64?}" "${neutral_b64:?}" "${old_neutral_b64:?}" "${on_b64:?}" "${off_b64:?}" "${old_on_b64:?}" "${old_off_b64:?}"
: "${load_after_b64:?}" "${load_old_b64:?}"
: "${place_program:?}" "${hide?}" "${intent_b64:?}" "${owned_b64:?}" "${applied_b64:?}" "${applied_anew_b64:?}"
pending=$state_dir/pending
work=$state_dir/.pending
recovery_unit=/etc/systemd/system/pyinfra-gvisor-recovery.service
target=$file
if [ -L "$file" ]; then target=$(readlink -f "$file"); fi
staged=$(dirname "$target")/.pyinfra-gvisor
kept=''

say() { printf '%s\n' "$*"; }

masked() { sed -f "$work/hide"; } # removes the secrets of daemon.json from dockerd's output; not in argv, which anybody can read

decode() { # base64 file: writes no file for "-"
    if [ "$1" != - ]; then printf '%s' "$1" | base64 -d > "$2"; fi
}

sha256_of() {
    if [ -e "$1" ]; then
        sum=$(sha256sum < "$1")
        say "${sum%% *}"
    else
        say absent
    fi
}

write_state() { # name: writes standard input, whole or not at all
    cat > "$state_dir/.$1.new" && sync "$state_dir/.$1.new" && mv -T "$state_dir/.$1.new" "$state_dir/$1"
}

note() { # something to know about a change that succeeds: its output is not shown, so the record keeps it
    say "$*" >&2
    say "$*;" >> "$work/notes" || true # the disk may be full
}

note_once() { grep -qsxF "$*;" "$work/notes" || note "$*"; }

as_json() { tr '\n' ' ' | tr -d '\042\134' | tr -c '[:print:]' ' '; } # standard input as the inside of a JSON string

record_run() { # result reason
    notes=''
    if [ -s "$work/notes" ]; then notes=$(as_json < "$work/notes"); fi
    printf '{"id":"%s","result":"%s","reason":"%s","notes":"%s","action":"%s","at":"%s","version":1}\n' \
        "$id" "$1" "$(printf '%s' "$2" | as_json)" "${notes%; }" "$action" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" |
        write_state last-run.json || say "cannot write $state_dir/last-run.json" >&2
    if [ "$1" != refused ]; then record_change "docker.daemon_json: $1, $action$kept"; fi
}

# Writes every file that the change or its rollback will need. After this no step needs disk space: the disk may be
# full by then.
write_down() {
    rm -rf "$work" "$staged"
    mkdir -p "$(dirname "$target")" && mkdir -m 0700 "$work" "$staged" || return 1
    cp "$0" "$work/transaction.sh" && chmod 0600 "$work/transaction.sh" && : > "$work/journal" && say "$hide" > "$work/hide" || return 1
    decode "$after_b64" "$staged/after" && decode "$neutral_b64" "$staged/neutral" &&
        decode "$old_neutral_b64" "$staged/old_neutral" && decode "$on_b64" "$staged/on" && decode "$off_b64" "$staged/off" &&
        decode "$old_on_b64" "$staged/old_on" && decode "$old_off_b64" "$staged/old_off" &&
        decode "$load_after_b64" "$staged/load_after" && decode "$load_old_b64" "$staged/load_old" &&
        decode "$intent_b64" "$work/intent" && decode "$owned_b64" "$work/owned" &&
        decode "$applied_b64" "$work/applied" && decode "$applied_anew_b64" "$work/applied_anew" || return 1
    for path in "$staged"/*; do
        if [ ! -e "$path" ]; then
            continue # nothing is staged
        elif [ -e "$target" ]; then
            chmod --reference="$target" "$path" && chown --reference="$target" "$path" || return 1
        else
            chmod 0644 "$path" || return 1
        fi
    done
    if [ -e "$target" ]; then cp -p "$target" "$staged/old" || return 1; fi
    if [ -e "$state_dir/owned.json" ]; then cp -p "$state_dir/owned.json" "$work/owned.before" || return 1; fi
}

# Keeps the files from before this change as a generation. drop_old_generations removes the oldest ones.
keep_generation() {
    number=1
    for path in "$state_dir"/generations/*; do
        name=${path##*/}
        case "$name" in *[!0-9]*) continue ;; esac
        if [ "$name" -ge "$number" ]; then number=$((name + 1)); fi
    done
    generation=$state_dir/generations/$number
    say "$number" > "$work/number" && mkdir -p "$state_dir/generations/.new" || return 1
    if [ -e "$target" ]; then cp -p "$target" "$state_dir/generations/.new/daemon.json" || return 1; fi
    for path in owned.json applied.json; do
        if [ -e "$state_dir/$path" ]; then cp -p "$state_dir/$path" "$state_dir/generations/.new/" || return 1; fi
    done
    mv "$state_dir/generations/.new" "$generation" && sync "$generation"
}

drop_old_generations() {
    for path in "$state_dir"/generations/*; do
        name=${path##*/}
        case "$name" in *[!0-9]*) continue ;; esac
        if [ "$name" -le $((number - keep)) ]; then rm -rf "$path"; fi
    done
}

# After a power cut or a reboot in the middle, the node undoes the change at its next boot, before dockerd starts:
# dockerd may not be able to start with the new file.
arm_recovery() {
    if [ -z "$unit" ]; then return 0; fi
    printf '%s\n' '[Unit]' 'Description=Undo the change of daemon.json that a reboot interrupted' \
        "Before=$unit" 'RequiresMountsFor=/etc/docker /var/lib' '[Service]' 'Type=oneshot' \
        "ExecStartPre=/bin/sh -c '{ find $state_dir $pending -maxdepth 0 -type d -perm 0700 -user 0; find $pending/transaction.sh -maxdepth 0 -type f -perm 0600 -user 0 -links 1; } | wc -l | grep -qx 3 && sha256sum < $pending/transaction.sh | cut -c1-64 | cmp -s - $state_dir/pending.sha256'" \
        "ExecStart=/bin/sh $pending/transaction.sh boot" > "$recovery_unit" &&
        mkdir -p "/etc/systemd/system/$unit.wants" &&
        ln -sfn "$recovery_unit" "/etc/systemd/system/$unit.wants/${recovery_unit##*/}" &&
        sync "$recovery_unit" "/etc/systemd/system/$unit.wants"
}

disarm_recovery() {
    if [ -z "$unit" ]; then return 0; fi
    rm -f "/etc/systemd/system/$unit.wants/${recovery_unit##*/}" "$recovery_unit"
    rmdir "/etc/systemd/system/$unit.wants" 2> /dev/null || true # other units may use this directory
}

begin() {
    sync "$work"/* "$staged" "$staged"/* 2> /dev/null || sync
    arm_recovery || return 1
    # Beside it: dockerd copies files of an image into an empty directory that a volume names, and this one is not empty.
    sha256_of "$work/transaction.sh" | write_state pending.sha256 || return 1
    mv -T "$work" "$pending" || return 1
    work=$pending
    sync "$state_dir"
}

forget() { # removes everything: the change has ended, applied or undone. What undoes it goes last
    if [ -d "$pending" ]; then
        release_ports || true
        disarm_recovery
        keep_scripts || say "cannot keep the runtime scripts for later restarts of dockerd" >&2
        rm -rf "$state_dir/.pending" && mv "$pending" "$state_dir/.pending" || return 1
        sync "$state_dir"
    fi
    rm -rf "$staged" "$state_dir/.pending" "$state_dir/pending.sha256" "$state_dir/generations/.new"
}

step() { say "$1" >> "$work/journal" && sync "$work/journal"; }

reached() { grep -qx "$1" "$work/journal"; }

# Makes this staged file daemon.json, atomically; if there is no such file, removes daemon.json. What other programs have
# written there since the change began stays. Sets reason if that is not possible.
put() { # name
    # going_back: a key of this change that others have changed keeps their value
    how=$(perl -e "$place_program" "$staged" "$target" "$1" "${going_back:-}" 2>&1) || {
        reason=$how
        return 1
    }
    if [ "$how" = same ]; then return 0; fi
    rm -f "$staged/.next" && sync "$(dirname "$target")" || return 1
    if [ "$how" = ours ]; then return 0; fi
    note_once "another program changed the file meanwhile; its changes stay"
    if [ -n "${going_back:-}" ] || [ ! -e "$target" ] || accepts "$target"; then return 0; fi
    reason="dockerd refuses the file with what another program has just written: $(refusal)"
    return 1
}
