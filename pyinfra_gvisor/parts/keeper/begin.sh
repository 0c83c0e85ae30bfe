#!/bin/sh
# What all checks of the keeper use. Comes before them. Variables: keeper_unit, keeper_policy (what is compared),
# changing_min (how many minutes after its last step a run may still be under way).
set -u
export LC_ALL=C
: "${keeper_unit:?}" "${keeper_policy:?}" "${changing_min:?}"
keeper_run=/run/$keeper_unit
# shellcheck disable=SC2034 # the checks use it
later=75 # what a check returns if it cannot be told now; then it prints why
newline='
'

say() { printf '%s\n' "$*"; }

is_line() { case "$newline$2$newline" in *"$newline$1$newline"*) ;; *) return 1 ;; esac } # line, text

# True if a run has changed something after the keeper was installed, and may not have ended. Variables: records.
is_changing() {
    [ -n "$(find "$keeper_run/lock" "${runtimes_records:-/nonexistent}/last-run.json" -newer "$keeper_policy" -mmin "-$changing_min" 2> /dev/null)" ]
}
