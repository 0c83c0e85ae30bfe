#!/bin/sh
# Keeps the option across upgrades of Coolify: installs files, compose file and timer. Arguments: path, mode and
# packed content of each file. Comes after put_files.sh and coolify/compose.sh. Variables: unit.
set -eu
: "${host:?}" "${unit:?}"

prepare_compose
put_files "$@" # before they are mounted: Docker creates a directory where a mounted file is missing
move_compose
systemctl daemon-reload
# Last: a run that ends before this leaves the timer off, which the next run sees and repairs.
systemctl enable --quiet "$unit.timer"
systemctl restart "$unit.timer" # a running timer would keep its old interval
