#!/bin/sh
# Removes a timer with its service and its files. Comes after timer_stop.sh. Variables: timer_tells (the file that its
# service writes; may be empty).
set -eu
: "${timer_dir:?}" "${timer_unit:?}" "${units:?}" "${timer_tells?}"
timer_stop ''
if [ -L "$units/timers.target.wants/$timer_unit.timer" ]; then
    systemctl disable --quiet "$timer_unit.timer"
fi
if systemctl is-failed --quiet "$timer_unit.service"; then systemctl reset-failed "$timer_unit.service"; fi
rm -rf "$timer_dir" "/run/$timer_unit"
if [ -n "$timer_tells" ]; then rm -f "$timer_tells" "$timer_tells.new"; fi
rm -f "$units/$timer_unit.timer" "$units/$timer_unit.service" \
    "$units/$timer_unit.timer.new" "$units/$timer_unit.service.new"
if [ -d "${timer_dir%/*}" ]; then rmdir --ignore-fail-on-non-empty "${timer_dir%/*}"; fi
systemctl daemon-reload
