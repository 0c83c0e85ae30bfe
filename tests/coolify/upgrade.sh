#!/bin/bash
# What matters of Coolify's own scripts/upgrade.sh (4.3.11), which the auto-update runs too: it brings
# its compose files anew, includes docker-compose.custom.yml, and makes the container anew.
#   upgrade.sh <version>
# The real one goes on in the background where this one waits, and ends with 0 when "up" has failed.
set -eu

version=${1:?}
cdn=/opt/stand-in-cdn
source=/data/coolify/source
env_file=$source/.env
wait_timeout_s=${WAIT_TIMEOUT_S:-60}

remember() {
    sed -i "/^$1=/d" "$env_file"
    printf '%s=%s\n' "$1" "$2" >>"$env_file"
}

cp "$cdn/docker-compose.yml" "$cdn/docker-compose.prod.yml" "$source/"
compose=(docker compose --env-file "$env_file" -f "$source/docker-compose.yml" -f "$source/docker-compose.prod.yml")
if [ -f "$source/docker-compose.custom.yml" ]; then
    compose+=(-f "$source/docker-compose.custom.yml")
fi
# Nothing has been stopped yet when a compose file cannot be read.
LATEST_IMAGE=$version "${compose[@]}" config --images >/dev/null

remember LATEST_IMAGE "$version"
remember COOLIFY_VERSION "$version"
docker network inspect coolify >/dev/null 2>&1 || docker network create --attachable coolify >/dev/null
if [ -n "$(docker ps -aq --filter 'name=^coolify$')" ]; then
    docker stop coolify >/dev/null
    docker rm coolify >/dev/null
fi
LATEST_IMAGE=$version "${compose[@]}" up -d --remove-orphans --wait --wait-timeout "$wait_timeout_s"
