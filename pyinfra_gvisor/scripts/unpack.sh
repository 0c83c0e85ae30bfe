#!/bin/sh
# Checks what was fetched, unpacks it in one pass, and checks what came out.
# Set before: staging shown release arch sidecars; die, say, said and no_space are the caller's.

check_sha512() { # $1 file, $2 what it must be, $3 what to call it
    sum=$(sha512sum < "$1")
    if [ "${sum%% *}" != "$2" ]; then
        die "sha512 of $3 is ${sum%% *}, expected $2; check the mirror in gvisor_source"
    fi
}

need_decompressor() { # tar calls it; small nodes do not have every one
    case "$shown" in
        *.bz2) tool=bzip2 ;;
        *.zst | *.zstd) tool=zstd ;;
        *.xz) tool=xz ;;
        *) return 0 ;;
    esac
    if ! command -v "$tool" > /dev/null; then die "$tool is not there to unpack $shown; apt-get install $tool"; fi
}

refuse_members() { # $1 what holds them, $2 a bad name if there is one; types are in the listing
    if grep -q '^[^-d]' "$staging/listing"; then
        die "$1 holds something that is neither file nor directory: $(grep '^[^-d]' "$staging/listing" | head -n 1 | cut -c1-100)"
    fi
    if [ -n "$2" ]; then die "$1 holds a name with odd characters: $(say "$2" | cut -c1-60)"; fi
}

unpack_archive() { # $1: the archive
    # One pass, since decompression takes longest. The tree is empty and nobody else's, and tar keeps
    # to it by itself: no "..", no leading "/", links out of it made last. What it met is judged after.
    mkdir "$staging/tree"
    unpacked=0
    tar -x -vv -f "$1" --numeric-owner --no-same-owner --no-same-permissions -C "$staging/tree" \
        > "$staging/listing" 2> "$staging/said" || unpacked=$?
    if [ "$unpacked" != 0 ] && no_space; then die "$shown cannot be unpacked: no space is left in $releases_dir"; fi
    sed 's/^[^ ]* *[^ ]* *[^ ]* *[^ ]* *[^ ]* //; s/ link to .*//; s/ -> .*//' "$staging/listing" > "$staging/names"
    # tar passes over "..", does not list it and says so.
    sed -n "s/^tar: \(.*\): Member name contains '\.\.'.*$/\1/p" "$staging/said" >> "$staging/names"
    out=$(grep -E '^/|(^|/)\.\.(/|$)' "$staging/names" | head -n 1 || :)
    if [ -n "$out" ]; then die "$shown holds a path that leaves its directory: $(say "$out" | cut -c1-60)"; fi
    refuse_members "$shown" "$(grep -v '^[A-Za-z0-9._/+-]*$' "$staging/names" | head -n 1 || :)"
    if [ "$unpacked" != 0 ]; then die "$shown cannot be unpacked: $(said "$staging/said")"; fi
}

machine_of() { # of an ELF file: e_machine, in its header
    bytes=$(od -An -v -tx1 -N20 "$1" | tr -d ' \n')
    case "$bytes" in
        7f454c46*3e00) say x86_64 ;;
        7f454c46*b700) say aarch64 ;;
        7f454c46*) say "another machine" ;;
        *) say "nothing: it is no ELF program" ;;
    esac
}

need_member() {
    if [ -f "$staging/tree/$1" ] && [ ! -L "$staging/tree/$1" ]; then return 0; fi
    die "$shown holds no $1; got $(cd "$staging/tree" && find . -mindepth 1 -printf '%P\n' | sort | head -n 5 | tr '\n' ' ')"
}

check_tree() {
    runsc=$staging/tree/runsc
    need_member runsc
    if [ "$source" != debian ]; then need_member containerd-shim-runsc-v1; fi
    # A "$staging/tree" made of hard links to something outside would be changed by this: none are left.
    chown -R 0:0 "$staging/tree"
    chmod -R u+rwX,a+rX,go-w,ug-s,-t "$staging/tree"
    if [ -f "$staging/tree/containerd-shim-runsc-v1" ]; then chmod 0755 "$staging/tree/containerd-shim-runsc-v1"; fi
    chmod 0755 "$runsc"
    if [ "$sidecars" = yes ]; then
        need_member gvisor-bin/gvisor_sentry
        if [ ! -x "$staging/tree/gvisor-bin/gvisor_sentry" ]; then die "gvisor-bin/gvisor_sentry in $shown is not executable"; fi
    fi
    built=$(machine_of "$runsc")
    if [ "$built" != "$arch" ]; then die "runsc in $shown is built for $built, this node is $arch"; fi
    printed=$(timeout 20 "$runsc" --version 2>&1 | head -n 1) || true
    case "$printed" in
        "runsc version release-$release" | "runsc version 0.0~$release") ;;
        *) die "runsc in $shown calls itself \"$(say "$printed" | cut -c1-60)\"" ;;
    esac
}
