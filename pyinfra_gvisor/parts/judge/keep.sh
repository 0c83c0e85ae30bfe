#!/bin/sh
# Checks that the judge is resident, and starts it. Comes after begin.sh. Variables: judge_name (of its units), judge_else
# (what happens without it), judge_address (the socket at which dockerd asks; empty if it does not), judge_ask (a program
# that asks), judge_links (a program that settles who follows links in volumes).
: "${judge_name:?}" "${judge_else:?}" "${judge_address?}" "${judge_ask:?}" "${judge_links:?}"

judge_wrong() {
    for kind in socket service; do
        if ! systemctl is-active --quiet "$judge_name.$kind"; then say "$judge_name.$kind is not active, so $judge_else"; fi
    done
    if ! systemctl is-enabled --quiet "$judge_name.socket"; then say "$judge_name.socket is not enabled, so after a reboot $judge_else"; fi
    if [ -z "$judge_address" ]; then return 0; fi
    if ! judge_said=$(perl "$judge_ask" 5 "$judge_address") || [ -n "$judge_said" ]; then say "$judge_name.service does not answer, so $judge_else"; fi
}

judge_lasting() { # a restart of the judge does not help
    if [ -n "$judge_address" ] && ! "$judge_links" sync > /dev/null 2>&1; then
        say "nosymfollow of Docker's volumes cannot be changed, so an image may change this node, or a container may miss links"
    fi
}

judge_restore() {
    systemctl enable --quiet "$judge_name.socket"
    systemctl restart "$judge_name.socket" "$judge_name.service" # the socket may have been replaced
}
