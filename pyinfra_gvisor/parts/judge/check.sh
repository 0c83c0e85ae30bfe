#!/bin/sh
# Before dockerd starts or reloads: has somebody answer at the socket. dockerd ends if nobody listens, and waits for
# ever if nobody answers. Variables: address (of the socket), ask (a program that asks), stand_in (a program that only
# refuses), unit (the name of the judge's units), links (a program that settles who follows links in volumes).
: "${address:?}" "${ask:?}" "${stand_in:?}" "${unit:?}" "${links:?}"

if [ -f "$links" ]; then "$links" sync || true; fi

answers() { /usr/bin/perl "$ask" 5 "$address"; }

if answers; then exit 0; fi
timeout 30 systemctl restart "$unit.socket" "$unit.service" || true
if answers; then exit 0; fi
systemd-run --quiet --collect --unit="$unit-stand-in-$$" /usr/bin/perl "$stand_in" "$address" || exit 1
for _ in 1 2 3 4 5; do if answers; then exit 0; fi && sleep 0.2; done
exit 1
