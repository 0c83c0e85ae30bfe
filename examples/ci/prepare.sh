#!/bin/sh
# Installs pyinfra-gvisor, and brings what connects to the nodes. Each job begins with it.
set -eu
umask 077
python3 -m venv .venv
.venv/bin/pip install --quiet -r requirements.txt
if [ -n "${GITHUB_PATH:-}" ]; then echo "$PWD/.venv/bin" >> "$GITHUB_PATH"; fi
if [ -n "${SSH_KEY:-}" ]; then
    mkdir -p ~/.ssh
    if [ -f "$SSH_KEY" ]; then cat "$SSH_KEY"; else printf '%s\n' "$SSH_KEY"; fi > ~/.ssh/id_ed25519
fi
