#!/bin/sh
# Runs the probe, the text "$1", for as long as this node may need for it: how long its Docker takes
# for an answer says how slow it is. The probe knows its time as $probe_timeout_s.
# Set before, all in seconds: silent_s (Docker may take as long for an answer), fast_s (what a node gets
# that answers at once), per_answer_s (what each second of an answer adds), most_s (nobody gets more).
set -eu
: "${silent_s:?}" "${fast_s:?}" "${per_answer_s:?}" "${most_s:?}"

now_cs() { # since the boot, in hundredths of a second: proc_uptime(5)
    read -r up rest < /proc/uptime
    echo "${up%.*}${up#*.}"
}

began=$(now_cs)
for _ in 1 2 3; do # what else the node does meanwhile is to count as little as can be
    code=0
    said=$(timeout -k 1 "$silent_s" docker version 2>&1 > /dev/null) || code=$?
    case "$code" in
        0) continue ;;
        124 | 137) why="has not answered within $silent_s s" ;;
        *) why="does not answer: $(printf '%s' "$said" | tail -n 1 | tr ';' ',' | cut -c1-300)" ;;
    esac
    printf 'node\tended\t%s\n' "Docker $why; mend it, then run again"
    exit 1
done
took_cs=$(($(now_cs) - began))
probe_timeout_s=$((fast_s + took_cs * per_answer_s / 300))
if [ "$probe_timeout_s" -gt "$most_s" ]; then probe_timeout_s=$most_s; fi
export probe_timeout_s
# To tidy up takes a slow node long, too.
exec timeout -k $((10 + probe_timeout_s / 4)) "$probe_timeout_s" sh -c "$1"
