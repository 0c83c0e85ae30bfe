#!/bin/sh
# Loads rules on probation: they are taken back by themselves unless somebody confirms them.
# Arguments: path, mode and content in base64 of the files that are needed for that.
# Set before: confirm_s (seconds until they are taken back). Read behind put_files.sh.
set -eu
: "${confirm_s:?}"
dir=/opt/gvisor/egress
run=/run/pyinfra-gvisor-egress
revert=pyinfra-gvisor-egress-revert

nothing='nothing was loaded'
if [ ! -x /usr/sbin/nft ]; then
    export DEBIAN_FRONTEND=noninteractive
    { apt-get -qq update && apt-get -qq install -y --no-install-recommends nftables; } > /dev/null ||
        die nftables "it cannot be installed; $nothing. See what apt-get says above"
fi
mkdir -p "$run"
chmod 700 "$run" # whoever can open a lock can hold it
exec 9>> "$run/lock"
flock -w 10 9 || die "$run/lock" "another run is at it; $nothing"
if [ "$(systemctl is-active "$revert.timer")" = active ]; then
    die "$dir/candidate.nft" "rules of another run wait to be confirmed; $nothing. Run again in a minute"
fi
put_files "$@"
if ! said=$(/usr/sbin/nft -c -f "$dir/candidate.nft" 2>&1); then
    rm -f "$dir/candidate.nft"
    die "$dir/candidate.nft" "nft refuses the rules: $(printf '%s\n' "$said" | head -n 1 | cut -c1-200); $nothing"
fi
# Armed before anything is loaded. The transient unit is gone with a reboot, and so is the table.
systemd-run --quiet --collect --unit="$revert" --on-active="$confirm_s" --timer-property=AccuracySec=100ms \
    /bin/sh "$dir/revert.sh" || { rm -f "$dir/candidate.nft" && die "$revert.timer" "it cannot be started; $nothing"; }
if ! said=$(sh "$dir/load.sh" "$dir/candidate.nft" 2>&1); then
    systemctl stop "$revert.timer"
    exec 9>&-
    sh "$dir/revert.sh" > /dev/null
    die "$dir/candidate.nft" "the kernel refuses the rules: $(printf '%s\n' "$said" | head -n 1 | cut -c1-200)"
fi
