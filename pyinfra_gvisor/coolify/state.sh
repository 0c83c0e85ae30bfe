#!/bin/sh
# Prints the state of a Coolify control host, one "key value" a line. Changes nothing. Comes after
# coolify/container.sh. Variables: files (paths of our files, one a line), compose and timer (paths), redeploys (path
# of the file with the apps that are still to be redeployed).
set -u
: "${files:?}" "${compose:?}" "${timer:?}" "${redeploys:?}"

container_state() {
    if ! command -v docker > /dev/null; then return 0; fi
    echo 'docker yes'
    if ! said=$(docker version --format '{{.Server.Version}}' 2>&1); then
        printf 'docker_error %s\n' "$(last_line "$said")"
        return 0
    fi
    if ! has_container; then return 0; fi
    described=$(describe_container) || return 0 # it was removed in between
    printf 'container %s\n' "$described"
    case "$described" in *'"Running":true'*) ;; *) return 0 ;; esac
    # the reader skips lines that are not from the patcher
    if told=$(in_coolify state 2>&1); then
        printf '%s\n' "$told" | sed 's/^/php /'
    else
        printf 'php_error %s\n' "$(last_line "$told")"
    fi
}

compose_state() {
    if [ ! -e "$compose" ] && [ ! -L "$compose" ]; then
        echo 'compose absent'
    elif [ ! -f "$compose" ] || [ ! -r "$compose" ]; then
        echo 'compose unreadable'
    else
        sum=$(sha256sum < "$compose")
        printf 'compose text %s %s\n' "${sum%% *}" "$(base64 -w0 < "$compose")"
    fi
}

file_states() {
    printf '%s\n' "$files" | while IFS= read -r path; do
        if [ ! -f "$path" ]; then continue; fi
        sum=$(sha256sum < "$path")
        printf 'file sum %s %s\n' "${sum%% *}" "$path"
        stat -c 'file stat %a:%u:%g %n' "$path"
    done
}

timer_state() {
    if [ -L "${timer%/*}/timers.target.wants/${timer##*/}" ]; then echo 'timer_enabled yes'; fi
    if [ -f "$timer" ]; then printf 'timer %s\n' "$(systemctl is-active "${timer##*/}")"; fi
}

if IFS= read -r init < /proc/1/comm; then printf 'init %s\n' "$init"; fi
if [ -d "$coolify_source" ]; then echo 'source_dir yes'; fi
container_state
compose_state
file_states
timer_state
if [ -r "$redeploys" ]; then sed -n 's/^/redeploy /p' "$redeploys"; fi
echo 'end of coolify state'
