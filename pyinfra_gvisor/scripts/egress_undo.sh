#!/bin/sh
# Takes rules that are on probation back now, instead of when their time is up.
set -eu
systemctl stop pyinfra-gvisor-egress-revert.timer
sh /opt/gvisor/egress/revert.sh
