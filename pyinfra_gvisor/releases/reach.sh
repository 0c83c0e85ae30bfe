#!/bin/sh
# Asks for the first byte of each file of a release, as a download would. Comes after fetch.sh. Functions of the caller: say.
# Arguments: for each file its URL, and what to call it.
reach() { # prints "no <what>" and why, for each file that does not come
    take_proxy
    while [ $# -gt 1 ]; do
        code=0
        if command -v curl > /dev/null; then
            # 63: longer than that, so a server without ranges has it, or its page about an error is long
            why=$(curl -fsSL -r 0-0 --max-filesize 1000 --connect-timeout 20 --max-time 30 -o /dev/null -w '%{http_code}' \
                -- "$1" 2>&1) || code=$?
            case "$code $(say "$why" | tail -n 1)" in 63*200 | 63*206) code=0 ;; esac
        else
            why=$(wget --no-verbose --no-hsts --spider --tries=1 --timeout=20 -- "$1" 2>&1) || code=$?
        fi
        if [ "$code" != 0 ]; then say "no $2 $(say "$why" | tail -n 1)"; fi
        shift 2
    done
}
