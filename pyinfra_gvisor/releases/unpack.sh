#!/bin/sh
# Checks the fetched files, unpacks them in one pass, and checks the unpacked files.
# Variables: staging, shown, release, arch, sidecars. Functions of the caller: die, say, said, no_space.

check_sha512() { # $1 file, $2 expected sum, $3 name in messages
    sum=$(sha512sum < "$1")
    if [ "${sum%% *}" != "$2" ]; then
        die "sha512 of $3 is ${sum%% *}, expected $2; check the mirror in gvisor_source"
    fi
}

need_decompressor() { # tar calls it, and a small node may not have it
    case "$shown" in
        *.bz2) tool=bzip2 ;;
        *.zst | *.zstd) tool=zstd ;;
        *.xz) tool=xz ;;
        *) return 0 ;;
    esac
    if ! command -v "$tool" > /dev/null; then die "$tool is not installed, but is needed to unpack $shown; apt-get install $tool"; fi
}

refuse_members() { # $1 name of the archive in messages, $2 a bad file name or nothing; reads types from the listing
    if grep -q '^[^-d]' "$staging/listing"; then
        die "$1 contains something that is neither a file nor a directory: $(grep '^[^-d]' "$staging/listing" | head -n 1 | cut -c1-100)"
    fi
    if [ -n "$2" ]; then die "$1 contains a file name with characters that are not allowed: $(say "$2" | cut -c1-60)"; fi
}

unpack_archive() { # $1: the archive
    # One pass: decompression takes longest. The tree is new, and tar does not write outside it: it refuses "..",
    # strips a leading "/" and creates links out of the tree last. The listing is checked afterwards.
    mkdir "$staging/tree"
    unpacked=0
    tar -x -vv -f "$1" --numeric-owner --no-same-owner --no-same-permissions -C "$staging/tree" \
        > "$staging/listing" 2> "$staging/said" || unpacked=$?
    if [ "$unpacked" != 0 ] && no_space; then die "$shown cannot be unpacked: no space is left in $releases_dir"; fi
    sed 's/^[^ ]* *[^ ]* *[^ ]* *[^ ]* *[^ ]* //; s/ link to .*//; s/ -> .*//' "$staging/listing" > "$staging/names"
    # tar skips names with "..": it does not list them, but warns.
    sed -n "s/^tar: \(.*\): Member name contains '\.\.'.*$/\1/p" "$staging/said" >> "$staging/names"
    out=$(grep -E '^/|(^|/)\.\.(/|$)' "$staging/names" | head -n 1 || :)
    if [ -n "$out" ]; then die "$shown contains a path that leaves its directory: $(say "$out" | cut -c1-60)"; fi
    refuse_members "$shown" "$(grep -v '^[A-Za-z0-9._/+-]*$' "$staging/names" | head -n 1 || :)"
    if [ "$unpacked" != 0 ]; then die "$shown cannot be unpacked: $(said "$staging/said")"; fi
}

machine_of() { # prints the architecture of an ELF file, from e_machine in its header
    bytes=$(od -An -v -tx1 -N20 "$1" | tr -d ' \n')
    case "$bytes" in
        7f454c46*3e00) say x86_64 ;;
        7f454c46*b700) say aarch64 ;;
        7f454c46*) say "another machine" ;;
        *) say "no architecture: it is not an ELF program" ;;
    esac
}

need_member() {
    if [ -f "$staging/tree/$1" ] && [ ! -L "$staging/tree/$1" ]; then return 0; fi
    die "$shown does not contain $1, got $(cd "$staging/tree" && find . -mindepth 1 -printf '%P\n' | sort | head -n 5 | tr '\n' ' ' | sed 's/ $//')"
}

check_tree() {
    runsc=$staging/tree/runsc
    need_member runsc
    if [ "$source" != debian ]; then need_member containerd-shim-runsc-v1; fi
    # This would also change files outside that are hard-linked into the tree; the listing has none.
    chown -R 0:0 "$staging/tree"
    chmod -R u+rwX,a+rX,go-w,ug-s,-t "$staging/tree"
    if [ -f "$staging/tree/containerd-shim-runsc-v1" ]; then chmod 0755 "$staging/tree/containerd-shim-runsc-v1"; fi
    chmod 0755 "$runsc"
    if [ "$sidecars" = yes ]; then
        need_member gvisor-bin/gvisor_sentry
        if [ ! -f "$staging/tree/gvisor-bin/gvisor_sentry" ] || [ ! -x "$staging/tree/gvisor-bin/gvisor_sentry" ]; then die "gvisor-bin/gvisor_sentry in $shown is not executable"; fi
    fi
    built=$(machine_of "$runsc")
    if [ "$built" != "$arch" ]; then die "runsc in $shown is built for $built, this node is $arch"; fi
    printed=$(timeout 20 "$runsc" --version 2>&1 | head -n 1) || true
    case "$printed" in
        "runsc version release-$release" | "runsc version 0.0~$release") ;;
        *) die "runsc in $shown calls itself \"$(say "$printed" | cut -c1-60)\"" ;;
    esac
}
