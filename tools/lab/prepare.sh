#!/bin/sh
# mmdebstrap's customize hook: makes a node of a root file system.
#   prepare.sh <root> <suite> [<later suite that Docker comes from>]
set -eu

root=$1
suite=$2
docker_suite=${3:-}

chroot "$root" useradd --create-home --shell /bin/bash --uid 1000 debian
chroot "$root" install -d -o debian -g debian -m 0700 /home/debian/.ssh
printf 'debian ALL=(ALL) NOPASSWD: ALL\n' >"$root/etc/sudoers.d/lab"
chmod 0440 "$root/etc/sudoers.d/lab"

# Every node makes a host key of its own; the package has put the same one into all of them.
rm -f "$root"/etc/ssh/ssh_host_*
mkdir -p "$root/etc/systemd/system/ssh.service.d"
cat >"$root/etc/systemd/system/ssh.service.d/lab.conf" <<'UNIT'
[Service]
ExecStartPre=
ExecStartPre=/bin/sh -c 'test -s /etc/ssh/ssh_host_ed25519_key || ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key'
ExecStartPre=/usr/sbin/sshd -t
UNIT

# Tests reach one node under many host names at once; sshd drops unauthenticated ones beyond 10.
cat >"$root/etc/ssh/sshd_config.d/lab.conf" <<'SSHD'
PasswordAuthentication no
MaxStartups 200
MaxSessions 100
SSHD

# A privileged container sees the machine's kernel log: each node's journal would have all of it.
mkdir -p "$root/etc/systemd/journald.conf.d"
printf '[Journal]\nReadKMsg=no\nCompress=no\n' >"$root/etc/systemd/journald.conf.d/container.conf"

# A privileged container sees the machine's consoles: no login prompt may appear on them.
for unit in getty.target console-getty.service systemd-udevd.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
: >"$root/etc/machine-id" # systemd makes one per node
: >"$root/etc/default/locale" # pam_env logs an error at every login without it

if [ -n "$docker_suite" ]; then
    sh "$(dirname "$0")/later-docker.sh" "$root" "$suite" "$docker_suite"
fi
# Nothing is left to do at a first boot for packages that have changed: systemd-update-done.service(8).
touch "$root/etc/.updated" "$root/var/.updated"
