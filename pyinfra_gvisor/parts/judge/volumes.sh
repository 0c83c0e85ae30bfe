#!/bin/sh
# Has nobody but containers follow a symbolic link in Docker's volumes. While dockerd copies an image's files into a
# volume, a container that has this volume can put links there, and dockerd would write where they lead, as root: moby,
# copyExistingContents. Sandboxes follow their links themselves, and the judge lets containers under runc do so. Argument:
# sync (have it as the judge's program wishes), release, or nothing, to print what is so: safe, or the program's wish.
# Variables: root (Docker's), judge (its program).
: "${root:?}" "${judge:?}"
volumes=$root/volumes

followed() { # asks the kernel, as another mount may cover ours: statfs(2), f_flags
    # shellcheck disable=SC2016 # this is perl
    /usr/bin/perl -e '
        my ( $path, $machine ) = @ARGV;
        my $statfs = { x86_64 => 137, aarch64 => 43 }->{$machine} // exit 0;
        my $found = "\0" x 256;
        exit 0 if syscall $statfs, $path, $found;
        exit( unpack( "x80 q", $found ) & 0x2000 ? 1 : 0 );' "$volumes" "$(uname -m)"
}

wish() { timeout 20 /usr/bin/python3 -I -S -B -X utf8 "$judge" links "$root"; }

sync() {
    if [ ! -d "$volumes" ]; then return 0; fi # dockerd makes it when it first starts, and asks again then
    if ! wished=$(wish); then return 1; fi
    if [ "$wished" != wanted ]; then
        release
        return
    fi
    if ! followed; then return 0; fi
    # Volumes may be mounted below, and have to be seen.
    if ! mountpoint -q "$volumes"; then mount --rbind "$volumes" "$volumes" || return 1; fi
    if mount -o remount,bind,nosymfollow "$volumes" && ! followed; then return 0; fi
    return 1
}

release() { # who else may have mounted it is not known, nor what has been mounted below since
    if ! followed; then mount -o remount,bind,symfollow "$volumes"; fi
}

case "${1:-}" in
    sync) sync ;;
    release) release ;;
    *) if followed; then wish; else echo safe; fi ;;
esac
