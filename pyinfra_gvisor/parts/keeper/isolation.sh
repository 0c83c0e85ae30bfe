#!/bin/sh
# Prints what this node tells of its isolation, as JSON. Ends with 0 if everything declared is in force, and proven.
# Variables: isolation_file, isolation_min (how many minutes the keeper may be silent).
: "${isolation_file:?}" "${isolation_min:?}"
if [ -z "$(find "$isolation_file" -mmin "-$isolation_min" 2> /dev/null)" ]; then
    printf '{"version":1,"holds":false,"at":"%s","why":["the keeper has not looked for %s minutes"]}\n' \
        "$(date -u +%Y-%m-%dT%H:%M:%S+00:00)" "$isolation_min"
    exit 1
fi
text=$(cat "$isolation_file")
printf '%s\n' "$text"
case "$text" in '{"version":1,"holds":true,'*) ;; *) exit 1 ;; esac
