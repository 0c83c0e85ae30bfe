#!/bin/sh
# Runs the script on standard input apart from this session, so that a lost connection or a killed
# controller cannot leave it half done; waits for it and passes on what it printed and its exit code.
# Set before: end, the line that the script on standard input ends with.
set -eu
: "${end:?}"
# First of all: a controller that still writes when this ends would be told of a closed pipe, not of why.
text=$(cat)
case "$text" in
    *"
$end") ;;
    *)
        echo "the script for the node did not arrive whole, and nothing was begun; run again" >&2
        exit 1
        ;;
esac
umask 077
mkdir -p /run/pyinfra-gvisor
chmod 700 /run/pyinfra-gvisor # whoever can open a lock can hold it
alive() { # file with a process number: another process may have it by now, which only delays
    read -r number < "$1" 2> /dev/null && kill -0 "$number" 2> /dev/null
}
for old in /run/pyinfra-gvisor/run.*; do # of runs that were killed
    if [ -d "$old" ] && [ -s "$old/pid" ] && ! alive "$old/pid" && ! alive "$old/follower"; then rm -rf "$old"; fi
done
dir=$(mktemp -d /run/pyinfra-gvisor/run.XXXXXX)
echo $$ > "$dir/follower"
printf '%s\n' "$text" > "$dir/run.sh"
# Whoever of the two goes last takes the directory along: the script writes down itself how it ended.
cat > "$dir/detached.sh" <<'END'
echo $$ > "$1/pid"
sh "$1/run.sh" > "$1/out" 2> "$1/err" && code=0 || code=$?
echo "$code" > "$1/code.new" && mv "$1/code.new" "$1/code"
read -r follower < "$1/follower"
kill -0 "$follower" 2> /dev/null || rm -rf "$1"
END
# shellcheck disable=SC2317
leave() { if [ -e "$dir/code" ] || ! alive "$dir/pid"; then rm -rf "$dir"; fi; }
trap leave EXIT
trap 'exit 1' HUP INT TERM PIPE
if [ -d /run/systemd/system ]; then
    systemd-run --quiet --collect --unit="pyinfra-gvisor-${dir##*.}" sh "$dir/detached.sh" "$dir"
else
    setsid sh "$dir/detached.sh" "$dir" < /dev/null > /dev/null 2>&1 &
fi
for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ -s "$dir/pid" ] && break
    sleep 0.2
done
while [ ! -e "$dir/code" ]; do
    if ! alive "$dir/pid" && [ ! -e "$dir/code" ]; then
        echo "the script on the node was killed before it ended; run again, it begins from what it finds" >&2
        exit 1
    fi
    sleep 0.1
done
cat "$dir/out"
cat "$dir/err" >&2
exit "$(cat "$dir/code")"
