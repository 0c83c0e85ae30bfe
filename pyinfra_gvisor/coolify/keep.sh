#!/bin/sh
# One check by the timer: patches Coolify again if an upgrade has removed our lines, and has Horizon load the
# new code. Comes after coolify/container.sh. Lines with <3> are errors, with <5> notices: sd-daemon(3).
set -u

fail() {
    printf '<3>%s\n' "$*"
    exit 1
}

mkdir -p /run/pyinfra-gvisor
chmod 700 /run/pyinfra-gvisor # whoever can open a lock can hold it
exec 9> /run/pyinfra-gvisor/coolify.lock
flock -w 60 9 || exit 0 # a deploy is working on it

[ -r "$patcher" ] || fail "cannot check that Coolify honours --runtime: $patcher is missing; run pyinfra-gvisor apply --deploy coolify"
if ! has_container; then
    echo "<5>there is no container $coolify_container: nothing to check"
    exit 0
fi
case "$(describe_container)" in *'"Running":true'*) ;; *)
    echo "<5>container $coolify_container does not run: nothing to check"
    exit 0
    ;;
esac
if ! told=$(in_coolify apply 2>&1); then
    fail "Coolify does not honour --runtime; new deployments run directly on the host kernel: $(last_line "$told")"
fi
case "$told" in *'changed yes'*) echo "<5>Coolify did not honour --runtime any more; it was patched again and honours --runtime now" ;; esac
case "$told" in *'probe {"runtime":"runscprobe"}'*) ;; *)
    fail "Coolify knows --runtime, but does not pass it on to Docker: $(printf '%s\n' "$told" | sed -n 's/^probe_error //p; s/^probe /it answers /p')"
    ;;
esac
case "$told" in *'
stale '*)
    told=$(in_coolify renew 2>&1) ||
        fail "Horizon still runs old code; new deployments may run directly on the host kernel: $(last_line "$told")"
    ;;
esac
