#!/bin/sh
# Runs the script on standard input detached from this session: a lost connection or a killed controller cannot
# interrupt it. Waits for its end, then prints its output and returns its exit code.
# Variables: end, the last line of the script on standard input; state_dir, where a result is noted that nobody heard.
set -eu
: "${end:?}" "${state_dir:?}"
# Read everything first: if this ended while the controller still writes, the controller would report a closed
# pipe and not the reason.
text=$(cat)
case "$text" in
    *"
$end") ;;
    *)
        echo "the node received only a part of its script; nothing was changed, run again" >&2
        exit 1
        ;;
esac
umask 077
mkdir -p /run/pyinfra-gvisor
chmod 700 /run/pyinfra-gvisor # whoever can open a lock can hold it
alive() { # file with a pid: another process may have this pid by now, which only delays the cleanup
    read -r number < "$1" 2> /dev/null && kill -0 "$number" 2> /dev/null
}
for old in /run/pyinfra-gvisor/run.*; do # left by killed runs
    if [ -d "$old" ] && [ -s "$old/pid" ] && ! alive "$old/pid" && ! alive "$old/follower"; then rm -rf "$old"; fi
done
dir=$(mktemp -d /run/pyinfra-gvisor/run.XXXXXX)
echo $$ > "$dir/follower"
printf '%s\n' "$text" > "$dir/run.sh"
# The script records its exit code. The last of the two processes removes the directory.
printf 'export PATH=%s\n' "$PATH" > "$dir/detached.sh"
cat >> "$dir/detached.sh" <<'END'
echo $$ > "$1/pid"
sh "$1/run.sh" > "$1/out" 2> "$1/err" && code=0 || code=$?
echo "$code" > "$1/code.new" && mv "$1/code.new" "$1/code"
read -r follower < "$1/follower"
kill -0 "$follower" 2> /dev/null || { [ ! -d "$2" ] || echo "$code" > "$2/unheard"; rm -rf "$1"; }
END
# shellcheck disable=SC2317
leave() {
    if [ -e "$dir/code" ] && [ -z "$heard" ] && [ -d "$state_dir" ]; then cp "$dir/code" "$state_dir/unheard" || true; fi
    if [ -e "$dir/code" ] || ! alive "$dir/pid"; then rm -rf "$dir"; fi
}
heard=''
rm -f "$state_dir/unheard"
trap leave EXIT
trap 'exit 1' HUP INT TERM PIPE
if [ -d /run/systemd/system ]; then
    systemd-run --quiet --collect --unit="pyinfra-gvisor-${dir##*.}" sh "$dir/detached.sh" "$dir" "$state_dir"
else
    setsid sh "$dir/detached.sh" "$dir" "$state_dir" < /dev/null > /dev/null 2>&1 &
fi
for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ -s "$dir/pid" ] && break
    sleep 0.2
done
while [ ! -e "$dir/code" ]; do
    if ! alive "$dir/pid" && [ ! -e "$dir/code" ]; then
        echo "the script on the node was killed before it ended; run again, the next run finishes the work" >&2
        exit 1
    fi
    sleep 0.2
done
read -r code < "$dir/code"
if [ ! -s "$dir/out" ] && [ ! -s "$dir/err" ]; then echo; fi # fails if the connection was lost
cat "$dir/out"
cat "$dir/err" >&2
heard=yes
exit "$code"
