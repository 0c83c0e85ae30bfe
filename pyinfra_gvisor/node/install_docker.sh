#!/bin/sh
# Installs Docker Engine with compose. Comes after record_change.sh. Variables: host, flavour (debian or docker-ce); for docker-ce also
# repository (base URL), distribution, codename, key_sha256.
set -eu
: "${flavour:?}" "${host:?}"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
keyring=/etc/apt/keyrings/docker.asc
sources=/etc/apt/sources.list.d/docker.sources

fetch() { # url file
    if command -v curl > /dev/null; then
        curl -fsSL --retry 3 --connect-timeout 20 --max-time 120 -o "$2" "$1"
    elif command -v wget > /dev/null; then
        wget -q --tries=3 --timeout=30 -O "$2" "$1"
    else
        echo "neither curl nor wget is installed to fetch $1; apt-get install curl" >&2
        return 1
    fi
}

record() { record_change "docker.engine: install Docker, $flavour"; } # directly before the first change

add_repository() {
    mkdir -p /etc/apt/keyrings
    trap 'rm -f "$keyring.new"' EXIT
    fetch "$repository/$distribution/gpg" "$keyring.new" || {
        echo "docker.engine: $keyring on $host: cannot fetch $repository/$distribution/gpg; nothing was changed" >&2
        exit 1
    }
    sum=$(sha256sum < "$keyring.new")
    if [ "${sum%% *}" != "$key_sha256" ]; then
        echo "docker.engine: $keyring on $host: sha256 of $repository/$distribution/gpg is ${sum%% *}, expected $key_sha256; nothing was changed" >&2
        exit 1
    fi
    record
    chmod 0644 "$keyring.new"
    mv "$keyring.new" "$keyring"
    printf 'Types: deb\nURIs: %s/%s\nSuites: %s\nComponents: stable\nSigned-By: %s\n' \
        "$repository" "$distribution" "$codename" "$keyring" > "$sources"
}

if [ "$flavour" = docker-ce ]; then
    add_repository
    apt-get -q update
    apt-get -q -y install docker-ce docker-ce-cli containerd.io docker-buildx-plugin docker-compose-plugin
else
    record
    apt-get -q update
    # Debian 13 has the docker command in a package of its own; Debian 12 and Ubuntu do not
    packages='docker.io'
    for package in docker-cli docker-compose docker-compose-v2; do
        if apt-cache show "$package" > /dev/null 2>&1; then packages="$packages $package"; fi
    done
    # shellcheck disable=SC2086
    apt-get -q -y install --no-install-recommends $packages
fi
if [ -d /run/systemd/system ]; then systemctl enable --now docker; fi
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
    if docker version --format '{{.Server.Version}}'; then exit 0; fi
    sleep 2
done
echo "docker.engine: docker on $host: Docker is installed, but dockerd does not answer; see journalctl -u docker" >&2
exit 1
