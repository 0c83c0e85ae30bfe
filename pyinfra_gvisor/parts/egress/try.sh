#!/bin/sh
# Loads new firewall rules on trial: a timer rolls them back unless a controller confirms them.
# Arguments: path, mode and packed content of the files that this needs.
# Variables: confirm_s (seconds until they are rolled back). Comes after put_files.sh.
set -eu
: "${confirm_s:?}"
dir=/opt/gvisor/egress
run=/run/pyinfra-gvisor-egress
revert=pyinfra-gvisor-egress-revert

nothing='nothing was loaded'
if [ ! -f /usr/sbin/nft ] || [ ! -x /usr/sbin/nft ]; then
    export DEBIAN_FRONTEND=noninteractive
    { apt-get -qq update && apt-get -qq install -y --no-install-recommends nftables; } > /dev/null ||
        die nftables "apt-get cannot install this package; $nothing. The reason is above"
fi
mkdir -p "$run"
chmod 700 "$run" # whoever can open a lock can hold it
exec 9>> "$run/lock"
flock -w 10 9 || die "$run/lock" "another run holds this lock; $nothing. Run again"
if [ "$(systemctl is-active "$revert.timer")" = active ]; then
    die "$dir/candidate.nft" "new rules of another run are not confirmed yet; $nothing. Run again in a minute"
fi
put_files "$@"
if ! said=$(/usr/sbin/nft -c -f "$dir/candidate.nft" 2>&1); then
    rm -f "$dir/candidate.nft"
    die "$dir/candidate.nft" "nft refuses the rules: $(printf '%s\n' "$said" | head -n 1 | cut -c1-200); $nothing"
fi
# The timer starts before anything is loaded. After a reboot both the transient unit and the table are gone.
systemd-run --quiet --collect --unit="$revert" --on-active="$confirm_s" --timer-property=AccuracySec=100ms \
    /bin/sh "$dir/revert.sh" || { rm -f "$dir/candidate.nft" && die "$revert.timer" "systemd cannot start this timer; $nothing"; }
if ! said=$(sh "$dir/load.sh" "$dir/candidate.nft" 2>&1); then
    systemctl stop "$revert.timer"
    exec 9>&-
    sh "$dir/revert.sh" > /dev/null
    die "$dir/candidate.nft" "the kernel refuses the rules: $(printf '%s\n' "$said" | head -n 1 | cut -c1-200)"
fi
