#!/bin/sh
# Checks everything that is declared, and restores what can be restored. Comes after begin.sh and the checks. Fails if
# something is not in force. Variables: kept (the names of the checks), keeper_policy, isolation_file (what everybody may
# read), isolation_declared (members of a JSON object), isolation_writes (isolation.pl), isolation_records (our records).
set +e
: "${kept?}" "${keeper_policy:?}" "${isolation_file:?}" "${isolation_declared?}" "${isolation_writes:?}" "${isolation_records:?}"
failed=0 samples='' states='' is_told=1

tell() { while IFS= read -r text; do if [ -n "$text" ]; then printf '<%s>%s\n' "$1" "$text"; fi; done; } # priority: sd-daemon(3)

complain() { # name: adds what to do, unless the line says that
    while IFS= read -r text; do
        case "$text" in *'; '*) say "$1: $text" ;; *) say "$1: $text; run pyinfra-gvisor apply" ;; esac
    done | tell 3
}

other_files() { # name: prints the files that are not as declared
    files=$(sed -n "s/^file $1 //p" "$keeper_policy")
    paths=$(say "$files" | cut -d ' ' -f 3)
    # shellcheck disable=SC2086 # our file names have no spaces
    stats=$(stat -c '%f:%u:%g %n' -- $paths 2> /dev/null) sums=$(sha256sum -- $paths < /dev/null 2> /dev/null)
    say "$files" | while read -r stat sum path; do
        if [ -z "$path" ]; then continue; fi
        if ! is_line "$stat $path" "$stats"; then
            say "$path is missing, or its mode or owner was changed"
        elif ! is_line "$sum  $path" "$sums"; then
            say "the content of $path was changed"
        fi
    done
}

record() { # name, whether it was in force
    samples="${samples}gvisor_in_force{part=\"$1\"} $2$newline"
    states="$states $1 $2"
}

fail() { # name, lines
    say "$2" | complain "$1"
    record "$1" 0
    failed=1
}

check() { # name
    other=$(other_files "$1")
    if [ -n "$other" ]; then
        if ! is_changing; then fail "$1" "$other"; fi
        return 0
    fi
    wrong=$("$1_wrong")
    code=$?
    if [ "$code" != "$later" ]; then rm -f "$keeper_run/later-$1"; fi
    case "$code" in
        0)
            lasting=''
            if command -v "$1_lasting" > /dev/null; then lasting=$("$1_lasting"); fi
            tell_once "$1" "$lasting"
            if [ -n "$wrong" ]; then restore "$1"; elif [ -n "$lasting" ]; then record "$1" 0; else record "$1" 1; fi
            ;;
        "$later") is_told=0 && if ! may_wait "$1"; then fail "$1" "not checked for $changing_min min: $wrong"; fi ;;
        *) fail "$1" "${wrong:+$wrong$newline}the check ended with code $code" ;;
    esac
}

tell_once() { # name, lines: what only a reboot ends; told when it changes
    if [ -z "$2" ]; then
        rm -f "$keeper_run/lasting-$1"
    elif [ "$(cat "$keeper_run/lasting-$1" 2> /dev/null)" != "$2" ]; then
        say "$2" | complain "$1"
        say "$2" > "$keeper_run/lasting-$1"
    fi
}

# A run that hangs or was killed must not silence the keeper for ever.
may_wait() { # name
    if [ ! -e "$keeper_run/later-$1" ]; then touch "$keeper_run/later-$1"; fi
    is_recent "$keeper_run/later-$1"
}

is_recent() { [ -n "$(find "$1" -mmin "-$changing_min")" ]; } # path

# The metrics show what was found, also if it was restored: otherwise nobody would see it there.
restore() { # name
    said='' left=$wrong
    if command -v "$1_restore" > /dev/null; then
        said=$("$1_restore" 2>&1)
        left=$("$1_wrong") || left=$wrong
    fi
    say "$wrong" | while IFS= read -r text; do
        if ! is_line "$text" "$left"; then say "$1: $text; restored"; fi
    done | tell 4
    if [ -n "$left" ]; then
        say "$left" | complain "$1"
        say "$said" | tail -n 3 | tell 3
        failed=1
    fi
    record "$1" 0
}

write_metrics() { # path: to a new file first, whose name no exporter reads
    rm -f "$1.new"
    (set -C && {
        say '# HELP gvisor_in_force 1 if the last check found this as declared, 0 if not, also if it was restored then.'
        say '# TYPE gvisor_in_force gauge'
        printf '%s' "$samples"
        say '# HELP gvisor_keeper_last_run_timestamp_seconds Time of the last check.'
        say '# TYPE gvisor_keeper_last_run_timestamp_seconds gauge'
        say "gvisor_keeper_last_run_timestamp_seconds $(date +%s)"
    } > "$1.new") && chmod 644 "$1.new" && mv "$1.new" "$1"
}

sum() { sha256sum -- "$1" 2> /dev/null | cut -d ' ' -f 1; } # path

write_isolation() {
    proof=$isolation_records/proof.json
    # shellcheck disable=SC2086 # names of checks have no spaces
    /usr/bin/perl -e "$isolation_writes" "$isolation_file" "$isolation_declared" "$proof" "$(sum "$proof")" \
        "$(sum /etc/docker/daemon.json)" "$(cat "$keeper_run/docker" 2> /dev/null)" $states
}

mkdir -p "$keeper_run"
chmod 700 "$keeper_run" # whoever can open a lock can hold it
if [ ! -e "$keeper_run/lock" ]; then touch -d @0 "$keeper_run/lock"; fi # its time is that of a run's last step
exec 9< "$keeper_run/lock"
if flock -n 9; then
    for name in $kept; do check "$name"; done
elif is_recent "$keeper_run/lock"; then
    exit 0 # a step of a run is under way, and must not be disturbed
else
    for name in $kept; do fail "$name" "not checked: a step of a run holds $keeper_run/lock for more than $changing_min min; see lslocks"; done
fi
textfile=$(sed -n 's/^textfile //p' "$keeper_policy")
if [ -n "$textfile" ] && ! write_metrics "$textfile"; then
    say "$textfile cannot be written" | tell 3
    failed=1
fi
if [ "$is_told" = 1 ]; then write_isolation; fi
exit "$failed"
