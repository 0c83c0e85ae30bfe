#!/bin/sh
# Finishes or undoes an interrupted change of daemon.json, with the script that it left on the node.
# Variables: file, state_dir.
set -eu
: "${file:?}" "${state_dir:?}"
pending=$state_dir/pending
if [ ! -d "$pending" ]; then exit 0; fi # another run has ended it meanwhile
if [ ! -s "$pending/transaction.sh" ]; then
    echo "docker.daemon_json: $file: an earlier change was interrupted, and the script that undoes it is missing: $pending/transaction.sh; compare $file with the files in $state_dir/generations and correct it. Then restart dockerd, remove $pending, and run again" >&2
    exit 1
fi
exec sh "$pending/transaction.sh" resume
