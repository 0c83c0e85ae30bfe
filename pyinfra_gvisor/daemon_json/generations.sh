#!/bin/sh
# Prints the daemon.json from before each change of ours. Changes nothing.
set -u
cd /var/lib/pyinfra-gvisor/generations 2> /dev/null || cd /
for directory in [0-9]*/; do
    number=${directory%/}
    if [ "$PWD" = / ] || [ ! -d "$number" ]; then continue; fi
    printf 'generation %s %s\n' "$number" "$(stat -c %Y "$number")"
    for name in daemon owned applied; do
        if [ -e "$number/$name.json" ]; then printf '%s %s %s\n' "$name" "$number" "$(base64 -w0 < "$number/$name.json")"; fi
    done
done
echo 'end of generations'
