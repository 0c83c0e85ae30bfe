#!/bin/sh
# PID 1 of a node without systemd: starts sshd and dockerd by their init scripts, and reaps.
set -u

halt() {
    trap '' TERM
    service docker stop
    exit 0
}

# On cgroup v2 a group that has processes cannot pass controllers on to groups below it: cgroups(7)
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mkdir -p /sys/fs/cgroup/init
    while read -r pid; do echo "$pid" > /sys/fs/cgroup/init/cgroup.procs; done < /sys/fs/cgroup/cgroup.procs
    sed -e 's/^/+/' -e 's/ / +/g' /sys/fs/cgroup/cgroup.controllers > /sys/fs/cgroup/cgroup.subtree_control
fi

# A machine may not let its containers raise a limit, and Docker's script would end there.
sed -i '/ulimit.*|| true/!s/^.*ulimit -.*$/& || true/' /etc/init.d/docker

trap halt TERM
if [ ! -s /etc/ssh/ssh_host_ed25519_key ]; then
    ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
fi

# dockerd gives its containerd 15 s and then ends; a machine that boots many nodes may need longer.
for attempt in 1 2 3; do
    service docker start
    until docker version > /dev/null 2>&1 || ! service docker status > /dev/null; do sleep 0.2; done
    if docker version > /dev/null 2>&1; then break; fi
    echo "dockerd ended at start $attempt of 3"
done
service ssh start # last: who asks for a node asks here first, and may then stop dockerd at once
while :; do # wait collects orphans too, and a signal ends it at once
    sleep 3600 &
    wait $!
done
