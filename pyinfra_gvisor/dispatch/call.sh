#!/bin/sh
# Reads a call of a runtime: sets command, root and log. Comes before seal.sh and dispatch.sh. Only --root, --log and
# --log-format have a value as a separate word before the command: containerd's go-runc.
command='' root='' log='' before=''
for word; do
    case "$before" in
        --root) root=$word ;;
        --log) log=$word ;;
        --log-format) ;;
        *)
            case "$word" in
                --root=*) root=${word#*=} ;;
                --log=*) log=${word#*=} ;;
                -*) before=$word && continue ;;
                *) command=$word && break ;;
            esac
            ;;
    esac
    before=''
done

# Asks create.pl, the second part of this file, where the container runs: sets where. Docker shows what is written to
# the log.
judge() {
    code=0
    where=$(/usr/bin/perl -x "$0" "$log" "$@") || code=$?
    case "$code" in
        0) ;;
        3) exit 1 ;;
        *) refuse "perl ended with code $code, so this container was not started; reinstall perl-base and run pyinfra-gvisor apply" ;;
    esac
}

refuse() { # why: without characters that JSON would escape
    said='{"level":"error","msg":"pyinfra-gvisor: '$1'","time":"'$(date -u +%Y-%m-%dT%H:%M:%SZ)'"}'
    if [ -n "$log" ]; then printf '%s\n' "$said" >> "$log"; fi
    printf 'pyinfra-gvisor: %s\n' "$1" >&2
    exit 1
}
