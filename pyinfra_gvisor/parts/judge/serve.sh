#!/bin/sh
# Runs the resident judge; where Python cannot, a program that only refuses, until systemd tries again.
# Variables: judge (its program), stand_in (that program).
: "${judge:?}" "${stand_in:?}"
code=0
/usr/bin/python3 -I -S -B -X utf8 "$judge" serve || code=$?
case "$code" in 1 | 2 | 126 | 127) exec /usr/bin/perl "$stand_in" ;; esac
exit "$code"
