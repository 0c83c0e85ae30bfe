#!/bin/sh
# Asks dockerd's authorization plugins before dockerd does. Comes before apply.sh and proof/reload.sh. Variables:
# plugins_before and plugins_after (their names in the old and in the new daemon.json), ask_program (asks some),
# door_check (has ours answer), links_program (has links in volumes followed or not), work.
set -eu
: "${plugins_before?}" "${plugins_after?}" "${ask_program:?}" "${door_check:?}" "${links_program:?}"

settle_links() { # by the daemon.json that counts now
    if [ -f "$links_program" ] && ! "$links_program" sync; then say "$links_program: cannot change nosymfollow of Docker's volumes" >&2; fi
}

# dockerd ends when it reloads and a plugin is missing, and at a start it waits for ever for one that does not answer.
plugins_answer() { # name of the file that dockerd would load: fails with a reason
    plugins=$plugins_after
    case "$1" in old*) plugins=$plugins_before ;; esac
    set --
    for plugin in $plugins; do
        path=/run/docker/plugins/$plugin.sock
        if [ "$plugin" = pyinfra-gvisor ] || [ -e "$path" ]; then set -- "$@" "$path"; fi # others may be elsewhere
    done
    if [ $# = 0 ] || silent=$(perl -e "$ask_program" 5 "$@"); then return 0; fi
    case " $plugins " in
        *' pyinfra-gvisor '*) if [ -f "$door_check" ] && sh "$door_check" && silent=$(perl -e "$ask_program" 5 "$@"); then return 0; fi ;;
    esac
    reason="no authorization plugin answers at $silent, and dockerd would end, or wait for it"
    return 1
}
