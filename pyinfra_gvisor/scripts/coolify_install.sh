#!/bin/sh
# Has the option outlive upgrades. Arguments: path, mode and content in base64 of each file. Read
# behind put_files.sh and coolify_compose.sh. Set before: unit.
set -eu
: "${host:?}" "${unit:?}"

prepare_compose
put_files "$@" # before they are mounted: Docker makes a directory of what is not there
move_compose
systemctl daemon-reload
# What is not running is not as declared, so that a run that ends before this is made good by the next.
systemctl enable --quiet "$unit.timer"
systemctl restart "$unit.timer" # one that runs keeps its old interval
