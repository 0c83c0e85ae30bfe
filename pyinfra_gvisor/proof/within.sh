#!/bin/sh
# Runs the probe, the script text "$1", with a time limit that fits the node: the slower Docker answers, the longer.
# The probe gets the limit as $probe_timeout_s. Variables, all in seconds: silent_s (limit for one answer of
# Docker's), fast_s (limit if Docker answers at once), per_answer_s (added for each second of an answer), most_s
# (the highest limit).
set -eu
: "${silent_s:?}" "${fast_s:?}" "${per_answer_s:?}" "${most_s:?}"

now_cs() { # hundredths of a second since boot: proc_uptime(5)
    read -r up rest < /proc/uptime
    echo "${up%.*}${up#*.}"
}

began=$(now_cs)
for _ in 1 2 3; do # an average: other work on the node should count little
    code=0
    said=$(timeout -k 1 "$silent_s" docker version 2>&1 > /dev/null) || code=$?
    case "$code" in
        0) continue ;;
        124 | 137) why="has not answered within $silent_s s" ;;
        *) why="does not answer: $(printf '%s' "$said" | tail -n 1 | tr ';' ',' | cut -c1-300)" ;;
    esac
    printf 'node\tended\t%s\n' "Docker $why; repair Docker, then run again"
    exit 1
done
took_cs=$(($(now_cs) - began))
probe_timeout_s=$((fast_s + took_cs * per_answer_s / 300))
if [ "$probe_timeout_s" -gt "$most_s" ]; then probe_timeout_s=$most_s; fi
export probe_timeout_s
# A slow node also needs longer to clean up.
exec timeout -k $((10 + probe_timeout_s / 4)) "$probe_timeout_s" sh -c "$1"
