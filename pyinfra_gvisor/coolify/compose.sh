#!/bin/sh
# Writes docker-compose.custom.yml: whole, and only if the file is still the one that the plan was made for. Comes
# after put_files.sh, before others. Variables: compose (path), compose_sum (sha256 of the old file, - if there
# was none), compose_b64 (the new file, - for none, "keep" to leave the old one), source_dir.
set -eu
trap 'rm -f "$compose.new"' EXIT

compose_is_as_planned() {
    if [ ! -e "$compose" ]; then
        [ "$compose_sum" = - ] || die "$compose" "the file has been removed since it was read; run again"
        return 0
    fi
    [ "$compose_sum" = "$(sha256sum < "$compose" | cut -d ' ' -f 1)" ] ||
        die "$compose" "the file has changed since it was read; it is left unchanged. Run again"
}

compose() ( # the plugin may be in root's own directory, where Coolify's upgrade finds it
    unset DOCKER_CONFIG
    LATEST_IMAGE=latest docker compose "$@"
)

takes() { # [file]: whether compose accepts Coolify's files with this one as docker-compose.custom.yml
    set -- ${1:+-f "$1"}
    if [ -f "$source_dir/docker-compose.postgres-upgrade.yml" ]; then # Coolify's upgrade adds this file last
        set -- "$@" -f "$source_dir/docker-compose.postgres-upgrade.yml"
    fi
    for name in docker-compose.prod.yml docker-compose.yml; do
        if [ -f "$source_dir/$name" ]; then set -- -f "$source_dir/$name" "$@"; fi
    done
    if [ $# = 0 ]; then return 0; fi
    if [ -f "$source_dir/.env" ]; then set -- --env-file "$source_dir/.env" "$@"; fi
    compose "$@" config -q
}

# If compose refuses the files, the next upgrade of Coolify leaves it down. Not checked if it refused them before.
check_compose() { # the new file
    if ! compose version > /dev/null 2>&1; then return 0; fi
    if said=$(takes "$1" 2>&1); then return 0; fi
    if [ -e "$compose" ]; then old=$compose; else old=; fi
    if ! takes "$old" > /dev/null 2>&1; then return 0; fi
    die "$compose" "docker compose refuses the files with our change: $(printf '%s\n' "$said" | tail -n 1 | cut -c1-300); nothing was changed"
}

prepare_compose() { # writes the new file beside the old one; before anything else is changed
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
    compose_is_as_planned # once more: time has passed
    if [ "$compose_b64" = - ]; then rm -f "$compose"; else mv "$compose.new" "$compose"; fi
}
