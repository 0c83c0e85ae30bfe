#!/bin/sh
# mmdebstrap's hook after prepare.sh: gives a node what it needs to boot by itself. With "initramfs"
# it runs before a kernel is there, whose initramfs then has the disk's modules and no others.
#   prepare-vm.sh <root> [initramfs]
set -eu
root=$1

if [ "${2:-}" = initramfs ]; then
    mkdir -p "$root/etc/initramfs-tools/conf.d" "$root/etc/initramfs-tools/hooks"
    echo MODULES=list >"$root/etc/initramfs-tools/conf.d/lab"
    cat >"$root/etc/initramfs-tools/hooks/lab" <<'HOOK'
#!/bin/sh
[ "$1" != prereqs ] || exit 0
. /usr/share/initramfs-tools/hook-functions
force_load virtio_pci
force_load virtio_blk
force_load crc32c
force_load ext4
HOOK
    chmod 755 "$root/etc/initramfs-tools/hooks/lab"
    exit 0
fi

# What prepare.sh sets for containers.
rm "$root/etc/systemd/system/systemd-udevd.service" "$root/etc/systemd/journald.conf.d/container.conf"
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
# What takes an emulated machine long, and nothing here asks for: profiles that are compiled at the first boot (Docker
# brings its own, and that of runc stays), and a manager of systemd's for whoever logs in.
find "$root/etc/apparmor.d" -maxdepth 1 -type f ! -name runc -delete
ln -s /dev/null "$root/etc/systemd/system/user@.service"

chroot "$root" systemctl enable systemd-networkd.service lab-seed.service
