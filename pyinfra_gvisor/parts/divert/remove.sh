#!/bin/sh
# Restores runc. Variables: unit, places (one a line), builds (the directory of runsc for builds), links (a
# program that settles who follows links in volumes). Comes after put_files.sh and places.sh.
set -eu
: "${unit:?}" "${divert_dir:?}" "${places?}" "${builds:?}" "${links:?}"

forget() { # directory: what runsc leaves there beside the states of sandboxes, of which there are none any more
    if [ -e "$1/null-netns" ]; then
        # Sandboxes that start at once mount it one over the other.
        while grep -q " $1/null-netns " /proc/self/mountinfo; do umount "$1/null-netns"; done
        rm -f "$1/null-netns"
    fi
    if [ "$1" = "$builds" ]; then rm -rf "$1"; fi
}

lock_places
if [ -e "/etc/systemd/system/$unit" ]; then
    systemctl disable --quiet "$unit"
    rm -f "/etc/systemd/system/$unit" "/etc/systemd/system/$unit.new"
    systemctl daemon-reload
fi
if systemctl is-failed --quiet "$unit"; then systemctl reset-failed "$unit"; fi
for place in $places; do give_back "$place"; done
if [ -f "$links" ]; then "$links" sync || true; fi # from now on nobody asks about runc
for root in "$builds" /run/docker/runtime-runc/moby /run/containerd/runc/moby; do forget "$root"; done
rm -rf "$divert_dir"
if [ -d "${divert_dir%/*}" ]; then rmdir --ignore-fail-on-non-empty "${divert_dir%/*}"; fi
