#!/bin/sh
# Prints what a control host is, one "key value" a line; changes nothing. Read behind
# coolify_container.sh. Set before: files (the paths of ours, a line each), compose, timer (paths),
# owed (the file with the redeploys that are owed).
set -u
: "${files:?}" "${compose:?}" "${timer:?}" "${owed:?}"

container_state() {
    if ! command -v docker > /dev/null; then return 0; fi
    echo 'docker yes'
    if ! said=$(docker version --format '{{.Server.Version}}' 2>&1); then
        printf 'docker_error %s\n' "$(last_line "$said")"
        return 0
    fi
    if ! has_container; then return 0; fi
    described=$(describe_container) || return 0 # gone between two commands
    printf 'container %s\n' "$described"
    case "$described" in *'"Running":true'*) ;; *) return 0 ;; esac
    # what is no line of the patcher's is passed over by whoever reads this
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
if [ -r "$owed" ]; then sed -n 's/^/owed /p' "$owed"; fi
echo 'end of coolify state'
