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
printf '[Journal]\nReadKMsg=no\n' >"$root/etc/systemd/journald.conf.d/container.conf"

# A privileged container sees the machine's consoles: no login prompt may appear on them.
for unit in getty.target console-getty.service systemd-udevd.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
: >"$root/etc/machine-id" # systemd makes one per node
: >"$root/etc/default/locale" # pam_env logs an error at every login without it

if [ -n "$docker_suite" ]; then
    # The mirror is the one that the suite came from; only the suite's name is another.
    list="$root/etc/apt/sources.list.d/$docker_suite.list"
    pin="$root/etc/apt/preferences.d/$docker_suite"
    grep -E "^deb .* $suite main" "$root/etc/apt/sources.list" | sed "s/ $suite / $docker_suite /" >"$list"
    printf 'Package: *\nPin: release n=%s\nPin-Priority: 100\n' "$docker_suite" >"$pin"
    # A testing suite's Release file is only good for a week, and mirrors may hold it for longer.
    chroot "$root" apt-get -o Acquire::Check-Valid-Until=false -q update
    chroot "$root" apt-get -q -y --no-install-recommends install \
        "docker.io/$docker_suite" "docker-cli/$docker_suite"
    rm "$list" "$pin"
fi
