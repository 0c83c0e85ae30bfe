# shellcheck shell=sh  # sourced
# A script of the image's own, behind most others: Coolify's image has a 99-debug-mode.sh.
echo "entry: the image's own script runs as $(id -u)"
touch /tmp/own-entry-ran
