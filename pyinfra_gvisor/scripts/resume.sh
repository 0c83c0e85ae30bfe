#!/bin/sh
# Ends a change of daemon.json that was interrupted, by the script that it left on the node.
# Set before: file state_dir.
set -eu
: "${file:?}" "${state_dir:?}"
pending=$state_dir/pending
if [ ! -d "$pending" ]; then exit 0; fi # somebody else has ended it meanwhile
if [ ! -s "$pending/transaction.sh" ]; then
    echo "docker.daemon_json: $file: an earlier change was interrupted, and the script that would end it is gone, $pending/transaction.sh; compare $file with those in $state_dir/generations, put it right, restart dockerd, remove $pending, and run again" >&2
    exit 1
fi
exec sh "$pending/transaction.sh" resume
