#!/bin/sh
# Prints where each container would run after its next start. Comes before node_state.sh.
# Variable: preview_program (a program of perl, compressed with gzip and in base64: a command has 128 KiB at most).
preview_state() {
    if [ ! -S "$docker_socket" ] || ! command -v perl > /dev/null; then return 0; fi
    echo 'preview asked'
    printf '%s' "$preview_program" | base64 -d | gzip -d | perl - preview "$docker_socket"
}
