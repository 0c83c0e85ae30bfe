#!/bin/sh
# Makes a node one that Coolify could deploy to: the image of the apps, the network, the proxy.
#   platform.sh <directory with app.php and Caddyfile> <image> <network> <proxy>
set -eu

directory=$1
image=$2
network=$3
proxy=$4

# It has no programs of its own: apps mount the node's /usr.
tree=$(mktemp -d)
mkdir "$tree/proc" "$tree/sys" "$tree/dev" "$tree/etc" "$tree/usr" "$tree/srv"
install -d -m 1777 "$tree/tmp"
for link in bin lib lib64; do ln -s "usr/$link" "$tree/$link"; done
cp "$directory/app.php" "$tree/srv/"
tar -C "$tree" -c . | docker import \
    --change 'CMD ["/usr/bin/php.default", "-n", "-S", "0.0.0.0:8000", "/srv/app.php"]' - "$image" >/dev/null
rm -r "$tree"

if [ -z "$(docker network ls -q --filter "name=^$network\$")" ]; then
    docker network create --attachable "$network" >/dev/null
fi
if [ -n "$(docker ps -aq --filter "name=^$proxy\$")" ]; then docker rm -f "$proxy" >/dev/null; fi
# Coolify's own proxy has Docker's socket too, which is why it must never be put into a sandbox.
docker run -d --name "$proxy" --runtime runc --restart unless-stopped --network "$network" -p 80:80 \
    --label coolify.managed=true --label coolify.proxy=true -e HOME=/tmp -v /usr:/usr:ro \
    -v "$directory/Caddyfile:/Caddyfile:ro" -v /var/run/docker.sock:/var/run/docker.sock:ro \
    "$image" /usr/bin/caddy run --config /Caddyfile --adapter caddyfile >/dev/null
