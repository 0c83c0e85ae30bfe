#!/bin/sh
# Puts the sentence on the node, or takes it away. Read behind put_files.sh.
set -eu
rm -rf /opt/gvisor/sample
put_files "$@"
