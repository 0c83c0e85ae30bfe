#!/bin/sh
# Reads a call of a runtime: sets command, root and log. Comes before judge.sh and runc.sh. Only --root, --log and
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
for id; do :; done # the last word of most calls

refuse() { # why: without characters that JSON would escape
    said='{"level":"error","msg":"pyinfra-gvisor: '$1'","time":"'$(date -u +%Y-%m-%dT%H:%M:%SZ)'"}'
    if [ -n "$log" ]; then printf '%s\n' "$said" >> "$log"; fi
    printf 'pyinfra-gvisor: %s\n' "$1" >&2
    exit 1
}
