#!/bin/sh
# Runs the script on standard input apart from this session, so that a lost connection or a killed
# controller cannot leave it half done; waits for it and passes on what it printed and its exit code.
set -eu
umask 077
mkdir -p /run/pyinfra-gvisor
find /run/pyinfra-gvisor -mindepth 1 -maxdepth 1 -mmin +60 -exec rm -rf {} +
dir=$(mktemp -d /run/pyinfra-gvisor/run.XXXXXX)
cat > "$dir/run.sh"
cat > "$dir/detached.sh" <<'END'
echo $$ > "$1/pid"
sh "$1/run.sh" > "$1/out" 2> "$1/err" && code=0 || code=$?
echo "$code" > "$1/code.new" && mv "$1/code.new" "$1/code"
END
if [ -d /run/systemd/system ]; then
    systemd-run --quiet --collect --unit="pyinfra-gvisor-${dir##*.}" sh "$dir/detached.sh" "$dir"
else
    setsid sh "$dir/detached.sh" "$dir" < /dev/null > /dev/null 2>&1 &
fi
for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ -s "$dir/pid" ] && break
    sleep 0.2
done
pid=$(cat "$dir/pid")
while [ ! -e "$dir/code" ]; do
    if ! kill -0 "$pid" 2> /dev/null && [ ! -e "$dir/code" ]; then
        echo "the script on the node was killed before it ended; run again, it begins from what it finds" >&2
        exit 1
    fi
    sleep 0.1
done
cat "$dir/out"
cat "$dir/err" >&2
code=$(cat "$dir/code")
rm -rf "$dir"
exit "$code"
