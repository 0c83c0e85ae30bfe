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
for id; do :; done # the last word of most calls

# Asks create.pl, the second part of this file, where the container runs: sets where. Docker shows what is written to
# the log. Variable: limit_s (how many seconds a decision may take).
judge() {
    code=0
    said=$(LC_ALL=C /usr/bin/perl -x "$0" "${limit_s:?}" "$command" "$log" "$root" "$@" 2>&1) || code=$?
    where=${said##*"
"}
    case "$code:$where" in
        0:runc | 0:sandbox) return 0 ;;
        3:*) printf '%s\n' "$said" >&2 && exit 1 ;;
        142:*) refuse "no decision within $limit_s s, so this container was not started; check file systems that do not answer" ;; # SIGALRM
    esac
    if [ ! -f /usr/bin/perl ] || [ ! -x /usr/bin/perl ]; then refuse "/usr/bin/perl is missing, so this container was not started; install perl-base, a package that every Debian and Ubuntu has"; fi
    said=$(printf '%s' "$said" | tr -c '[:alnum:] ._/:,@+-' ' ' | cut -c1-200)
    refuse "perl ended with code $code, so this container was not started: $said; reinstall perl-base and run pyinfra-gvisor apply"
}

refuse() { # why: without characters that JSON would escape
    said='{"level":"error","msg":"pyinfra-gvisor: '$1'","time":"'$(date -u +%Y-%m-%dT%H:%M:%SZ)'"}'
    if [ -n "$log" ]; then printf '%s\n' "$said" >> "$log"; fi
    printf 'pyinfra-gvisor: %s\n' "$1" >&2
    exit 1
}
