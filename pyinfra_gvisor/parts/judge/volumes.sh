#!/bin/sh
# Has nobody follow a symbolic link in Docker's volumes. While dockerd copies an image's files into a volume, a container
# that has this volume can put links there, and dockerd would write where they lead, as root: moby, copyExistingContents.
# Sandboxes follow their links themselves, and the judge lets infrastructure do so. Argument: hold, release, or nothing
# to print whether it is so. Variables: volumes (the directory).
: "${volumes:?}"

flags() { findmnt -n -o VFS-OPTIONS -M "$volumes" | tail -n 1; }

held() { case ",$(flags)," in *,nosymfollow,*) return 0 ;; esac && return 1; }

hold() {
    if [ ! -d "$volumes" ] || held; then return 0; fi # dockerd makes it when it first starts, and asks again then
    if ! mountpoint -q "$volumes"; then mount --rbind "$volumes" "$volumes" || return 1; fi
    mount -o remount,bind,nosymfollow "$volumes" && held
}

release() { # others may have mounted it, and volumes may have been mounted in it since
    if ! held; then return 0; fi
    mount -o remount,bind,symfollow "$volumes"
}

case "${1:-}" in
    hold) hold ;;
    release) release ;;
    *) if held; then echo yes; fi ;;
esac
