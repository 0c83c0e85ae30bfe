#!/bin/sh
# Refuses containers that ask for what a sandbox may not have. Comes after call.sh and before the line that starts runsc.
case "$command" in
    create | run) judge "$@" ;;
esac
