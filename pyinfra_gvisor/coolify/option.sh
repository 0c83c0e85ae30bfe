#!/bin/sh
# Patches Coolify so that it passes --runtime on to Docker, or removes the patch. Comes after coolify/container.sh.
# Variables: host, verb (apply or remove), wait_s (seconds for Horizon's workers to restart).
set -u
: "${host:?}" "${verb:?}" "${wait_s:?}"

die() {
    printf '%s\n' "coolify.runtime_option: $coolify_container on $host: $*" >&2
    exit 1
}

# The timer's check may be running.
mkdir -p /run/pyinfra-gvisor
chmod 700 /run/pyinfra-gvisor # whoever can open a lock can hold it
exec 9> /run/pyinfra-gvisor/coolify.lock
flock -w 300 9 || die "another process has held /run/pyinfra-gvisor/coolify.lock for 300 s; run again"

told=$(in_coolify "$verb" 2>&1) || die "$verb: $(last_line "$told")"
told=$(in_coolify renew 2>&1) || die "Coolify's web pages run the new code, but Horizon does not: $(last_line "$told"); run again"
until_s=$(($(date +%s) + wait_s))
while in_coolify state | grep -q '^stale '; do
    if [ "$(date +%s)" -ge "$until_s" ]; then
        echo "Horizon ends its running deployments first, and loads the new code then"
        exit 0
    fi
    sleep 1
done
