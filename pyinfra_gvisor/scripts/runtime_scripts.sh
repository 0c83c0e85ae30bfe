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
# fails where nothing is needed any more.
# shellcheck disable=SC2016
give_back='
needed=no
for script in $(find . -type f); do
    script=${script#./}
    if ! grep -qsF "/runtimes/$script" /run/containerd/io.containerd.runtime.v2.task/moby/*/runtime \
        /run/containerd/io.containerd.runtime.v2.task/moby/*/options.json \
        /run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/*/runtime \
        /run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/*/options.json; then continue; fi
    needed=yes
    if [ -e "$1/$script" ] || [ ! -d "$1" ]; then continue; fi
    mkdir -p "$1/$(dirname "$script")"
    cp -a "$script" "$1/$script"
    echo "put back $1/$script, which a running container needs"
done
[ "$needed" = yes ]
'

# shellcheck disable=SC2016
look_until_nothing_changes='
first=yes
while said=$(look); do
    if [ -z "$said$first" ]; then exit 0; fi
    first=""
    if [ -n "$said" ]; then echo "$said"; fi
    sleep 2
done'

put_back_scripts() {
    if [ ! -d "$work/scripts" ]; then return 0; fi
    read -r root < "$work/root"
    (cd "$work/scripts" && sh -euc "$give_back" sh "$root/runtimes" > "$work/put_back") || true
    cat "$work/put_back"
}

# Somebody's upgrade of Docker will drop them again: a path unit of systemd watches the directory, and
# takes itself away when no container needs a script of it any more. It sees no change while its service
# runs, so the service looks until nothing changes. Nothing that can fail stands before the files are gone.
keep_scripts() {
    if [ -z "$unit" ] || [ ! -s "$work/put_back" ]; then return 0; fi
    read -r root < "$work/root"
    rm -rf "$keeper"
    mkdir -p "$keeper" && cp -a "$work/scripts" "$keeper/files" || return 1
    {
        printf 'set -eu\ncd %s/files\nset -- %s/runtimes\nlook() (\n' "$keeper" "$root"
        printf '%s' "$give_back"
        printf ')\n%s\n' "$look_until_nothing_changes"
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
