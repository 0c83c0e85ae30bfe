#!/bin/sh
# Points /usr/local/bin/runsc, a link for people, at a release, atomically. Variables: target.
set -eu
: "${target:?}"
ln -sfn "$target" /usr/local/bin/.runsc.new
mv -T /usr/local/bin/.runsc.new /usr/local/bin/runsc
