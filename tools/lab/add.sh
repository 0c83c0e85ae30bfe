#!/bin/sh
# Runs in a container of a node's image: adds packages, and leaves nothing that a node has not.
#   add.sh [<package> ...]
set -eu
export DEBIAN_FRONTEND=noninteractive

if [ $# != 0 ]; then
    apt-get -q update
    apt-get -q -y --no-install-recommends --allow-downgrades install "$@"
fi
apt-get clean
rm -rf /var/lib/apt/lists/* /usr/sbin/policy-rc.d
touch /etc/.updated /var/.updated # as prepare.sh does
