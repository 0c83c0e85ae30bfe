#!/bin/sh
# The image's ENTRYPOINT: sources what lies in /etc/entrypoint.d, then becomes the init.
# As serversideup/php's does it (docker-php-serversideup-entrypoint, which Coolify's image has), with
# what follows for the scripts: all run in one subshell under "set -e", so that a command that fails
# or an "exit 1" ends the container, and "exit 0" skips the scripts behind; their standard input is
# the list of the scripts that are still to come.
set -e

find /etc/entrypoint.d/ -type f -name '*.sh' | sort | while IFS= read -r script; do
    # shellcheck source=/dev/null  # whatever was mounted
    . "$script"
done

exec "$@"
