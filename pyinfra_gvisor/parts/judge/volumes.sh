#!/bin/sh
# Has nobody follow a symbolic link in Docker's volumes. While dockerd copies an image's files into a volume, a container
# that has this volume can put links there, and dockerd would write where they lead, as root: moby, copyExistingContents.
# Sandboxes follow their links themselves, and the judge lets containers under runc do so. Where it is not asked about
# one, links are followed as before. Argument: hold, release, or nothing to print what is so: yes, no, or the names of
# such containers. Variables: root (Docker's), judge (its program), taken (yes: it is asked about runc, too).
: "${root:?}" "${judge:?}" "${taken?}"
volumes=$root/volumes

held() { case ",$(findmnt -n -o VFS-OPTIONS -M "$volumes" | tail -n 1)," in *,nosymfollow,*) return 0 ;; esac && return 1; }

outside() { /usr/bin/python3 -I -S -B -X utf8 "$judge" outside "$root" "$taken"; }

hold() {
    if [ ! -d "$volumes" ]; then return 0; fi # dockerd makes it when it first starts, and asks again then
    if ! unasked=$(outside); then return 1; fi
    if [ -n "$unasked" ]; then release && return; fi
    if held; then return 0; fi
    # Volumes may be mounted below, and have to be seen.
    if ! mountpoint -q "$volumes"; then mount --rbind "$volumes" "$volumes" || return 1; fi
    mount -o remount,bind,nosymfollow "$volumes" && held
}

release() { # who else may have mounted it is not known, nor what has been mounted below since
    if held; then mount -o remount,bind,symfollow "$volumes"; fi
}

case "${1:-}" in
    hold) hold ;;
    release) release ;;
    *) if held; then echo yes; else unasked=$(outside 2> /dev/null) && echo "${unasked:-no}"; fi ;;
esac
