#!/bin/sh
# Makes a node one that others have used for a while: a shop under runc, and an old sandbox.
# Needs /root/probe.tar, an image of links into /usr: no registry is asked for anything.
set -eu

docker import /root/probe.tar shop:2 >/dev/null
rm /root/probe.tar
# Not all of /usr: who is given the runsc that he runs on could look like a sandbox.
set -- -v /usr/bin:/usr/bin:ro -v /usr/lib:/usr/lib:ro
if [ -d /usr/lib64 ]; then set -- "$@" -v /usr/lib64:/usr/lib64:ro; fi
docker network create shop >/dev/null
docker run -d --name shop-db --network shop --restart unless-stopped \
    "$@" shop:2 sleep infinity >/dev/null
docker run -d --name old-sandbox --network shop --restart unless-stopped --runtime runsc \
    "$@" shop:2 sleep infinity >/dev/null
docker exec shop-db true
docker exec old-sandbox true
