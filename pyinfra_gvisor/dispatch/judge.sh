#!/bin/sh
# Asks the judge where a container runs. Comes after call.sh, and before seal.sh and dispatch.sh. Variables: judge (its
# program), judge_socket (where it may be resident), asking (a program of perl that asks there), limit_s (how many
# seconds a decision may take).
: "${judge:?}" "${judge_socket:?}" "${asking:?}" "${limit_s:?}"

question() { printf '%s\0' 'pyinfra-gvisor asks' "${judge##*-}" call "$0" "$command" "$log" "$root" "$PWD" "$@"; }

# Asks the judge where the container runs: sets where. The resident one answers at once; if it does not, its program is
# run here. Docker shows what the judge writes to the log.
judge() {
    code=0
    said=$(question "$@" | LC_ALL=C /usr/bin/perl -e "$asking" "$judge_socket" "$limit_s" 2>&1) || code=$?
    case "$code" in
        0 | 3 | 142) ;;
        *) code=0 && said=$(question "$@" | /usr/bin/python3 -I -S -B -X utf8 "$judge" ask "$limit_s" 2>&1) || code=$? ;;
    esac
    where=${said##*"
"}
    case "$code:$where" in
        0:runc | 0:sandbox) return 0 ;;
        3:*) printf '%s\n' "$said" >&2 && exit 1 ;;
        142:*) refuse "no decision within $limit_s s, so this container was not started; check for mounts that hang, such as NFS" ;; # SIGALRM
    esac
    if [ ! -f /usr/bin/python3 ] || [ ! -x /usr/bin/python3 ]; then refuse "/usr/bin/python3 is missing, so this container was not started; install python3"; fi
    said=$(printf '%s' "$said" | tr -c '[:alnum:] ._/:,@+-' ' ' | cut -c1-200)
    refuse "the judge ended with code $code, so this container was not started: $said; reinstall python3 and run pyinfra-gvisor apply"
}
