#!/bin/sh
# Installs pyinfra-gvisor, and brings what connects to the nodes. Each job begins with it.
set -eu
umask 077
python3 -m venv .venv
.venv/bin/pip install --quiet -r requirements.txt
if [ -n "${GITHUB_PATH:-}" ]; then echo "$PWD/.venv/bin" >> "$GITHUB_PATH"; fi
put() { if [ -f "$1" ]; then cat "$1"; else printf '%s\n' "$1"; fi > "$2"; }
if [ -n "${SSH_KEY:-}" ]; then
    mkdir -p ~/.ssh
    put "$SSH_KEY" ~/.ssh/id_ed25519
    put "$SSH_KNOWN_HOSTS" ~/.ssh/known_hosts
fi
