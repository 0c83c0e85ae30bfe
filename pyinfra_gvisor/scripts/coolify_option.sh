#!/bin/sh
# Has Coolify's function hand a runtime on, or no longer. Read behind coolify_container.sh.
# Set before: host, verb (apply, remove), wait_s (seconds that Horizon's workers have to come anew).
set -u
: "${host:?}" "${verb:?}" "${wait_s:?}"

die() {
    printf '%s\n' "coolify.runtime_option: $coolify_container on $host: $*" >&2
    exit 1
}

# The timer's look may be going on.
mkdir -p /run/pyinfra-gvisor
chmod 700 /run/pyinfra-gvisor # whoever can open a lock can hold it
exec 9> /run/pyinfra-gvisor/coolify.lock
flock -w 300 9 || die "somebody else has been at it for 300 s; run again"

told=$(in_coolify "$verb" 2>&1) || die "$verb: $(last_line "$told")"
told=$(in_coolify renew 2>&1) || die "Coolify's pages have the new code, Horizon has not: $(last_line "$told"); run again"
until_s=$(($(date +%s) + wait_s))
while in_coolify state | grep -q '^stale '; do
    if [ "$(date +%s)" -ge "$until_s" ]; then
        echo "Horizon ends its running deployments first, and takes the new code then"
        exit 0
    fi
    sleep 1
done
