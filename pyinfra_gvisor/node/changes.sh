#!/bin/sh
# Prints the node's list of changes. Changes nothing. Variables: state_dir.
set -eu
: "${state_dir:?}"
if [ -r "$state_dir/changes" ]; then cat "$state_dir/changes"; fi
echo 'end of changes'
