#!/bin/sh
# Entries with runtimeArgs make dockerd write a script that containers refer to until they end. At
# every start, on 20.10 at every reload too, it drops those that the new configuration does not need,
# and a running container without its script loses exec, stop and restart.
# Set before: state_dir unit work, and what dockerd.sh brings.
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

# Shell that gives $1, a directory of dockerd's, what it lacks of this directory and is still needed;
# ends with 3 where nothing is needed any more. Whole paths are compared: on 20.10 a script is called as
# the runtime is, and so begins the name of every wrapper of ours.
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
    echo "put back $1/$script, which a running container needs"
done
if [ "$needed" = no ]; then exit 3; fi
'

# shellcheck disable=SC2016
look_until_nothing_changes='
quiet=0 waited=0 seen=$(cat "$2") || seen=""
if [ -z "$seen" ]; then seen=$(directory_id "$1") || true; fi # not known: the start is waited for
while [ "$quiet" -lt 7 ]; do
    # dockerd first replaces the directory. It does not start if the old one is filled meanwhile. Two minutes at most.
    now=$(directory_id "$1") || now=""
    if [ "$now" = "$seen" ] && [ "$waited" -lt 1200 ] && is_starting; then waited=$((waited + 1)) && sleep 0.1 && continue; fi
    if [ "$now" != "$seen" ]; then seen=$now && echo "$now" > "$2" || true; fi
    quiet=$((quiet + 1)) code=0
    said=$(look "$1") || code=$?
    if [ "$code" = 3 ]; then break; fi
    if [ "$code" != 0 ]; then exit "$code"; fi
    if [ -n "$said" ]; then quiet=0 && echo "$said"; fi
    if [ "$quiet" -lt 7 ]; then sleep 0.3; fi # not behind the last look: nobody would see what goes meanwhile
done
if [ "$code" = 0 ]; then exit 0; fi'

# Prints what identifies a directory. The number of an inode alone may be used again.
# shellcheck disable=SC2016
identifying='directory_id() { if [ -d "$1" ]; then stat -c "%i %.W" "$1"; fi; }'
eval "$identifying"

put_back_scripts() {
    if [ ! -d "$work/scripts" ]; then return 0; fi
    read -r root < "$work/root"
    (cd "$work/scripts" && sh -euc "$give_back" sh "$root/runtimes" > "$work/put_back_now") || true
    # added up: a change may restart dockerd twice, and the second time all is there
    tee -a "$work/put_back" < "$work/put_back_now"
}

# Somebody's upgrade of Docker will drop them again: a path unit of systemd watches the directory, and
# takes itself away when no container needs a script of it any more. It sees no change while its service
# runs, so the service looks for two seconds more. Nothing that can fail stands before the files are gone.
keep_scripts() {
    if [ -z "$unit" ] || [ ! -s "$work/put_back" ]; then return 0; fi
    read -r root < "$work/root"
    rm -rf "$keeper"
    mkdir -p "$keeper" && cp -a "$work/scripts" "$keeper/files" && directory_id "$root/runtimes" > "$keeper/seen" || return 1
    {
        # not before: another change may put other files there meanwhile
        printf 'set -eu\nset -- %s/runtimes %s/seen\n%s\nlook() (\ncd %s/files || exit 1\n' "$root" "$keeper" "$identifying" "$keeper"
        printf '%s' "$give_back"
        # shellcheck disable=SC2016
        printf ')\nis_starting() { case "$(systemctl is-active %s)" in *activating) ;; *) return 1 ;; esac; }\n' "$unit"
        printf '%s\n' "$look_until_nothing_changes"
        printf 'rm -rf %s %s/%s.* %s/*.wants/%s.path\n' "$keeper" "$units" "$keeper_unit" "$units" "$keeper_unit"
        printf 'systemctl daemon-reload\nsystemctl stop %s.path\n' "$keeper_unit"
    } > "$keeper/give-back.sh" || return 1
    # without a limit: a dockerd that is restarted again and again must not make systemd give up
    printf '%s\n' '[Unit]' 'Description=Runtime scripts that running containers still need' \
        'StartLimitIntervalSec=0' '[Path]' \
        "PathChanged=$root/runtimes" "Unit=$keeper_unit.service" '[Install]' 'WantedBy=multi-user.target' \
        > "$units/$keeper_unit.path" || return 1
    printf '%s\n' '[Unit]' 'Description=Give running containers back the runtime scripts that dockerd dropped' \
        'StartLimitIntervalSec=0' '[Service]' 'Type=oneshot' "ExecStart=/bin/sh $keeper/give-back.sh" > "$units/$keeper_unit.service" || return 1
    systemctl daemon-reload && systemctl enable --quiet --now "$keeper_unit.path"
}
