#!/bin/sh
# Rolls back unconfirmed firewall rules now, without waiting for the timer.
set -eu
if [ ! -e /opt/gvisor/egress/candidate.nft ]; then exit 1; fi # already confirmed or rolled back
# The timer is stopped last: it rolls back if this script is interrupted.
sh /opt/gvisor/egress/revert.sh
systemctl stop pyinfra-gvisor-egress-revert.timer
