#!/bin/sh
# Does the same work under each runtime, one after the other, in rounds, and prints what it took: the lines of attend.pl,
# and "round" after each round. The first round is not printed. Comes after base/holder.sh and proof/containers.sh. Variables:
#   runtimes  names; runc is what others are compared with
#   offline   those without a network
#   attend    attend.pl
#   least, most, enough_s   how many rounds; after so many seconds no further one begins
set -eu
: "${runtimes:?}" "${offline?}" "${attend:?}" "${least:?}" "${most:?}" "${enough_s:?}"
# shellcheck disable=SC2034 # containers.sh reads it
memory=268435456 # bytes

work_under() { # runtime
    word=$name-$1-$tag online=1
    case " $offline " in *" $1 "*) online='' ;; esac
    # The threshold: memory that is given back goes back to the kernel, mallopt(3).
    if ! said=$(create "$word" "$1" -v "$tools/volume" --env VOLUME="$tools/volume" --env MALLOC_MMAP_THRESHOLD_=1048576 \
        --env TRUE="${perl%%/usr/bin/perl*}/usr/bin/true" && permit "$created" "$1" && say "$created"); then
        printf '%s\tfailed\t%s\n' "$1" "$(why_not "$said")"
    else
        /usr/bin/perl -e "$attend" attend "$1" "$word" "$said" "$port" "$online" 7>&- 9>&- # docker may stay for a moment, and must not keep the lock
    fi
    docker rm -f -v "$word" > /dev/null || true
}

round() { # reversed? each runtime is as often early as late
    order=''
    for runtime in $runtimes; do if [ "$1" -eq 0 ]; then order="$order $runtime"; else order="$runtime $order"; fi; done
    for runtime in $order; do work_under "$runtime"; done
}

begin
round 0 > "$work/first"
grep '	failed	' "$work/first" || true
since=$(date +%s) done=0
while [ "$done" -lt "$least" ] || { [ "$done" -lt "$most" ] && [ $(($(date +%s) - since)) -lt "$enough_s" ]; }; do
    round $((done % 2))
    done=$((done + 1))
    echo round
done
