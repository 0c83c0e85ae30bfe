#!/bin/sh
# One look of the timer: puts the option back if an upgrade has lost it, and has Horizon take it over.
# Read behind coolify_container.sh. What begins in <3> and <5> is an error and a notice: sd-daemon(3).
set -u

fail() {
    printf '<3>%s\n' "$*"
    exit 1
}

mkdir -p /run/pyinfra-gvisor
chmod 700 /run/pyinfra-gvisor # whoever can open a lock can hold it
exec 9> /run/pyinfra-gvisor/coolify.lock
flock -w 60 9 || exit 0 # a run of the deploy is at it

[ -r "$patcher" ] || fail "nobody sees that Coolify honours --runtime: $patcher is gone; run the deploy again"
if ! has_container; then
    echo "<5>no container called $coolify_container: nothing to look at"
    exit 0
fi
case "$(describe_container)" in *'"Running":true'*) ;; *)
    echo "<5>$coolify_container does not run: nothing to look at"
    exit 0
    ;;
esac
if ! told=$(in_coolify apply 2>&1); then
    fail "Coolify does not honour --runtime, apps will run without their sandbox: $(last_line "$told")"
fi
case "$told" in *'changed yes'*) echo "<5>Coolify had lost --runtime, it honours it again" ;; esac
case "$told" in *'probe {"runtime":"runscprobe"}'*) ;; *)
    fail "Coolify knows --runtime and does not hand it on: $(printf '%s\n' "$told" | sed -n 's/^probe_error //p; s/^probe /its answer is /p')"
    ;;
esac
case "$told" in *'
stale '*)
    told=$(in_coolify renew 2>&1) ||
        fail "Horizon still runs old code, apps may run without their sandbox: $(last_line "$told")"
    ;;
esac
