#!/bin/sh
# Runs the program that moves containers, with Python that sees nothing of root's environment. Variables:
#   end    the last line of a complete answer
#   mover  the program, compressed and in base64; given: what it needs to know, the same
#   words  its command, quoted for a shell
set -eu
: "${end:?}" "${mover:?}" "${given:?}" "${words:?}"
if ! /usr/bin/python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2> /dev/null; then
    echo 'a move needs python3 3.10 or later on the node; install it' >&2
    exit 1
fi
unpacked() { printf '%s' "$1" | base64 -d | gzip -d; }
eval "set -- $words"
/usr/bin/python3 -I -c "$(unpacked "$mover")" "$(unpacked "$given")" "$@"
echo "$end"
