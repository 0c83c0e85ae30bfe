#!/bin/sh
# Keeps the keeper away while this program changes the node. The time of its lock tells it afterwards that a run may
# still be under way. Comes before others.
if [ -d /opt/gvisor/keeper ]; then
    mkdir -p /run/pyinfra-gvisor-keeper
    chmod 700 /run/pyinfra-gvisor-keeper # whoever can open a lock can hold it
    exec 8>> /run/pyinfra-gvisor-keeper/lock
    touch /run/pyinfra-gvisor-keeper/lock
    flock -w 60 8 || echo 'the keeper has checked for 60 s; going on without waiting for it' >&2
fi
