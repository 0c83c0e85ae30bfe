#!/bin/sh
# Prints what can be seen of running containers, after the word "look" on each line. Changes nothing. Comes after
# audit/state.sh and before node_state.sh. It never ends an audit: without its last line it was cut short.
# Variables: look_b64 (a command, compressed), look_s (seconds that it may take).
echo look_begins
# shellcheck disable=SC2154 # variables of the caller
look=$(printf '%s' "$look_b64" | base64 -d | gzip -d)
# shellcheck disable=SC2154 # variables of the caller
timeout -k 1 "$look_s" sh -c "$look" < /dev/null 8<&- | sed 's/^/look /' || true
