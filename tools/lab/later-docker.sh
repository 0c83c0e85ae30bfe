#!/bin/sh
# Gives a root file system the Docker of a later suite.
#   later-docker.sh <root> <suite> <later suite>
set -eu
root=$1
suite=$2
docker_suite=$3

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
