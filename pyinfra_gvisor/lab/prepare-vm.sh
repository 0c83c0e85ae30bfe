#!/bin/sh
# mmdebstrap's customize hook behind prepare.sh: what a node has that boots by itself.
#   prepare-vm.sh <root> …
set -eu
root=$1

rm "$root/etc/systemd/system/systemd-udevd.service" # prepare.sh masks it for containers
printf '/dev/vda / ext4 defaults 0 1\n' >"$root/etc/fstab"
printf 'nameserver 10.0.2.3\n' >"$root/etc/resolv.conf"
printf '127.0.0.1 localhost\n' >"$root/etc/hosts"
cat >"$root/etc/systemd/network/lab.network" <<'UNIT'
[Match]
Name=eth0

[Network]
Address=10.0.2.15/24
Gateway=10.0.2.2
UNIT

# Files of this one node, before anything of them is read.
cat >"$root/etc/systemd/system/lab-seed.service" <<'UNIT'
[Unit]
Before=ssh.service containerd.service docker.service
ConditionPathExists=!/var/lib/lab-seed

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'tar -C / -xf /dev/vdb && sysctl -q --system && touch /var/lib/lab-seed'

[Install]
WantedBy=multi-user.target
UNIT
chroot "$root" systemctl enable systemd-networkd.service lab-seed.service
