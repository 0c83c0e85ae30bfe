#!/bin/sh
# docker-compose.custom.yml, written whole and only if it is what was planned for. Read in front of
# others, behind put_files.sh. Set before: compose (path), compose_sum (sha256 of the old one, - for none), compose_b64
# (the new one, - for none, keep for the old one), source_dir.
set -eu
trap 'rm -f "$compose.new"' EXIT

compose_is_as_planned() {
    if [ ! -e "$compose" ]; then
        [ "$compose_sum" = - ] || die "$compose" "it was there when it was read, and is gone; run again"
        return 0
    fi
    [ "$compose_sum" = "$(sha256sum < "$compose" | cut -d ' ' -f 1)" ] ||
        die "$compose" "somebody changed it since it was read; it is left as it is, run again"
}

takes() { # a file for docker-compose.custom.yml, or nothing: whether compose takes all of them
    set -- ${1:+-f "$1"}
    if [ -f "$source_dir/docker-compose.postgres-upgrade.yml" ]; then # the last of an upgrade
        set -- "$@" -f "$source_dir/docker-compose.postgres-upgrade.yml"
    fi
    for name in docker-compose.prod.yml docker-compose.yml; do
        if [ -f "$source_dir/$name" ]; then set -- -f "$source_dir/$name" "$@"; fi
    done
    if [ $# = 0 ]; then return 0; fi
    if [ -f "$source_dir/.env" ]; then set -- --env-file "$source_dir/.env" "$@"; fi
    LATEST_IMAGE=latest docker compose "$@" config -q
}

# An upgrade that compose refuses leaves Coolify down. Only what was taken before can be lost.
check_compose() { # the new file
    if ! docker compose version > /dev/null 2>&1; then return 0; fi
    if said=$(takes "$1" 2>&1); then return 0; fi
    if [ -e "$compose" ]; then old=$compose; else old=; fi
    if ! takes "$old" > /dev/null 2>&1; then return 0; fi
    die "$compose" "docker compose would not take it any more: $(printf '%s\n' "$said" | tail -n 1 | cut -c1-300); nothing was changed"
}

prepare_compose() { # the new one beside the old one; before anything else is changed
    compose_is_as_planned
    rm -f "$compose.new"
    case "$compose_b64" in keep | -) return 0 ;; esac
    if [ -e "$compose" ]; then
        cp -p "$compose" "$compose.new"
    else
        : > "$compose.new"
        chown --reference="${compose%/*}" "$compose.new"
    fi
    printf '%s' "$compose_b64" | base64 -d > "$compose.new"
    check_compose "$compose.new"
    sync "$compose.new"
}

move_compose() {
    if [ "$compose_b64" = keep ]; then return 0; fi
    compose_is_as_planned # all that took its time
    if [ "$compose_b64" = - ]; then rm -f "$compose"; else mv "$compose.new" "$compose"; fi
}
