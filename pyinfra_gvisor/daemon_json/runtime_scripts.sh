#!/bin/sh
# Saves and restores dockerd's runtime scripts. dockerd writes one for each runtime with runtimeArgs, and containers
# refer to it until they end. At every start, with 20.10 at every reload too, dockerd deletes scripts that its
# configuration no longer needs. A running container without its script loses exec, stop and restart.
# Variables: state_dir, unit, work. Comes after dockerd.sh.
set -eu
: "${state_dir:?}" "${unit?}"
keeper=$state_dir/scripts
keeper_unit=pyinfra-gvisor-scripts
units=/etc/systemd/system

save_scripts() {
    root=$(docker_quick info --format '{{.DockerRootDir}}') || return 1
    say "$root" > "$work/root" || return 1
    if [ -d "$root/runtimes" ]; then cp -a "$root/runtimes" "$work/scripts"; fi
}

# Shell code that copies scripts of the current directory to $1, dockerd's directory, if they are missing there and
# a container needs them. Exits with 3 if no script is needed any more. Compares whole paths: with 20.10 a script has
# the name of its runtime, with which the name of each of our wrappers begins.
# shellcheck disable=SC2016
give_back='
needed=no
for script in $(find . -type f); do
    script=${script#./}
    used=no
    for task in /run/containerd/io.containerd.runtime.v2.task/moby/* \
        /run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/*; do
        if grep -qsxF "$1/$script" "$task/runtime" || grep -qsF "\"$1/$script\"" "$task/options.json"; then used=yes; fi
    done
    if [ "$used" = no ]; then continue; fi
    needed=yes
    if [ -e "$1/$script" ] || [ ! -d "$1" ]; then continue; fi
    mkdir -p "$1/$(dirname "$script")"
    cp -a "$script" "$1/$script"
    echo "restored $1/$script, which a running container needs"
done
if [ "$needed" = no ]; then exit 3; fi
'

# shellcheck disable=SC2016
look_until_nothing_changes='
quiet=0 waited=0 seen=$(cat "$2") || seen=""
if [ -z "$seen" ]; then seen=$(directory_id "$1") || true; fi # unknown: wait for the end of the start
while [ "$quiet" -lt 7 ]; do
    # At its start dockerd replaces the directory. It fails if the old one is filled meanwhile. Wait two minutes at most.
    now=$(directory_id "$1") || now=""
    if [ "$now" = "$seen" ] && [ "$waited" -lt 1200 ] && is_starting; then waited=$((waited + 1)) && sleep 0.1 && continue; fi
    if [ "$now" != "$seen" ]; then seen=$now && echo "$now" > "$2" || true; fi
    quiet=$((quiet + 1)) code=0
    said=$(look "$1") || code=$?
    if [ "$code" = 3 ]; then break; fi
    if [ "$code" != 0 ]; then exit "$code"; fi
    if [ -n "$said" ]; then quiet=0 && echo "$said"; fi
    if [ "$quiet" -lt 7 ]; then sleep 0.3; fi # not after the last look, or changes in this time would be missed
done
if [ "$code" = 0 ]; then exit 0; fi'

# Prints what identifies a directory: inode and birth time. An inode number alone may be reused.
# shellcheck disable=SC2016
identifying='directory_id() { if [ -d "$1" ]; then stat -c "%i %.W" "$1"; fi; }'
eval "$identifying"

put_back_scripts() {
    if [ ! -d "$work/scripts" ]; then return 0; fi
    read -r root < "$work/root"
    (cd "$work/scripts" && sh -euc "$give_back" sh "$root/runtimes" > "$work/put_back_now") || true
    # appended: a change may restart dockerd twice, and the second time restores nothing
    tee -a "$work/put_back" < "$work/put_back_now"
}

# Keeps restoring scripts after later restarts of dockerd, for example by an upgrade of Docker. A systemd path unit
# watches the directory, and removes itself when no container needs a script any more. It sees no changes while its
# service runs, so the service looks for two more seconds. The files are removed before anything that can fail.
keep_scripts() {
    if [ -z "$unit" ] || [ ! -s "$work/put_back" ]; then return 0; fi
    read -r root < "$work/root"
    rm -rf "$keeper"
    mkdir -p "$keeper" && cp -a "$work/scripts" "$keeper/files" && directory_id "$root/runtimes" > "$keeper/seen" || return 1
    {
        # cd only here: another change may replace these files meanwhile
        printf 'PATH=%s\nset -eu\nset -- %s/runtimes %s/seen\n%s\nlook() (\ncd %s/files || exit 1\n' "$PATH" "$root" "$keeper" "$identifying" "$keeper"
        printf '%s' "$give_back"
        # shellcheck disable=SC2016
        printf ')\nis_starting() { case "$(systemctl is-active %s)" in *activating) ;; *) return 1 ;; esac; }\n' "$unit"
        printf '%s\n' "$look_until_nothing_changes"
        printf 'rm -rf %s %s/%s.* %s/*.wants/%s.path\n' "$keeper" "$units" "$keeper_unit" "$units" "$keeper_unit"
        printf 'systemctl daemon-reload\nsystemctl stop %s.path\n' "$keeper_unit"
    } > "$keeper/give-back.sh" || return 1
    # no start limit: systemd must not give up if dockerd is restarted often
    printf '%s\n' '[Unit]' 'Description=Runtime scripts that running containers still need' \
        'StartLimitIntervalSec=0' '[Path]' \
        "PathChanged=$root/runtimes" "Unit=$keeper_unit.service" '[Install]' 'WantedBy=multi-user.target' \
        > "$units/$keeper_unit.path" || return 1
    printf '%s\n' '[Unit]' 'Description=Restore runtime scripts that dockerd deleted and running containers need' \
        'StartLimitIntervalSec=0' '[Service]' 'Type=oneshot' "ExecStart=/bin/sh $keeper/give-back.sh" > "$units/$keeper_unit.service" || return 1
    systemctl daemon-reload && systemctl enable --quiet --now "$keeper_unit.path"
}
