"""Refuse configurations that cannot work although ``dockerd --validate`` accepts them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json, Path, pointer
from pyinfra_gvisor.base.redaction import shown
from pyinfra_gvisor.daemon_json.cold_start import (
    address_pools,
    builder_sizes,
    cgroup_driver,
    isolation,
    metrics_addr,
    registry_mirrors,
    runtimes,
)
from pyinfra_gvisor.daemon_json.effective import at
from pyinfra_gvisor.daemon_json.keys import FLAG_NAMES
from pyinfra_gvisor.daemon_json.log_drivers import log_driver, log_opts
from pyinfra_gvisor.daemon_json.validation import (
    firewall_change,
    other_file,
    other_versions,
    unknown_keys,
    unread_fields,
    wrong_kinds,
)
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.runtimes.profiles import DEFAULT_RUNTIME

RUNTIME_KEYS = frozenset({"path", "runtimeArgs", "runtimeType", "options"})

# Tried on 26.1.5 and 28.5.2: a start with another storage driver or option, even a start that
# fails, unmounts the root of every running container, with or without live-restore. Then exec does
# not work any more. Tried on 29.7.1: with another image store, Docker does not know the running
# containers until the old store is used again. Without the key Docker chooses the store by the
# content of its data root, such as images of a graph driver (moby v29
# daemon/image_store_choice.go). Not tried: another containerd (moby v29
# daemon/command/daemon_unix.go).
SNAPSHOTTER = ("features", "containerd-snapshotter")
CONTAINERS_HOME: frozenset[Path] = frozenset(
    {
        ("containerd",),
        ("containerd-namespace",),
        ("data-root",),
        ("exec-root",),
        ("features", "embedded-containerd"),
        SNAPSHOTTER,
        ("graph",),
        ("storage-driver",),
        ("storage-opts",),
        ("userns-remap",),
    }
)

SHORT_FLAGS = {
    "-D": "debug",
    "-H": "host",
    "-G": "group",
    "-b": "bridge",
    "-g": "data-root",
    "-l": "log-level",
    "-s": "storage-driver",
}


def refuse(node: Node, value: Mapping[str, Json], owned: Mapping[Path, Json]) -> None:
    """
    Raise ``Problem`` for the first thing in the file that cannot work on this node.

    + value: the planned file
    + owned: the paths in the file that we would write
    """
    for rule in RULES:
        rule(node, value, owned)


def can_live_restore(node: Node) -> bool:
    """Return True if live-restore can be switched on in the file for the time of a restart."""
    return not _in_swarm(node) and "live-restore" not in _given(node)


def ends_units(node: Node, restart_units: Collection[str]) -> bool:
    """Return True if a restart ends containers because of systemd; see ``refuse_loss``."""
    return bool(node.units.killed or node.units.ending(restart_units))


def refuse_loss(node: Node, restart_units: Collection[str]) -> None:
    """
    Raise ``Problem`` if a restart would end running containers.

    + restart_units: units whose docker clients, and so their containers, may end
    """
    _refuse_dead_restore(node)
    unit = node.supervisor.unit
    if killed := node.names_of(node.units.killed):
        raise Problem(
            f"a restart of dockerd would end running containers: their shims belong to {unit}, and "
            "systemd would kill them with dockerd",
            got=", ".join(killed),
            todo=f"run systemctl edit {unit} there, and set KillMode=process in [Service], as "
            "Docker's own unit does; then run again",
        )
    if ending := node.units.ending(restart_units):
        raise Problem(
            "a restart of dockerd would end docker commands of these units, and perhaps their "
            "containers",
            got=", ".join(ending),
            todo="stop these units first. Or name the units that may end in gvisor_restart_units. "
            'Or write the keys without a restart: gvisor_restart = "reload"',
        )


def _refuse_dead_restore(node: Node) -> None:
    """Raise ``Problem`` if a restart would end running containers because of no live-restore."""
    running = [container.name for container in node.containers]
    live = node.info is not None and node.info.live_restore
    if not running or live or can_live_restore(node):
        return
    why = "in a swarm" if _in_swarm(node) else "with dockerd's own flag --live-restore=false"
    raise Problem(
        f"a restart of dockerd would end running containers, because live-restore is off {why}",
        got=", ".join(running),
        todo='drain the node first, or write the keys without a restart: gvisor_restart = "reload"',
    )


def refuse_firewall_change(node: Node, value: Mapping[str, Json]) -> None:
    """
    Raise ``Problem`` if dockerd's next start with this file would change its firewall backend.

    Rules of the old backend, such as the iptables policy DROP for forwarded packets, stay and can
    cut containers off: https://docs.docker.com/engine/network/firewall-nftables/, and moby v29
    daemon/libnetwork/drivers/bridge/internal/iptabler/cleaner.go.
    """
    if change := firewall_change(node, value):
        now, coming, by = change
        raise Problem(
            f"the next start of dockerd would change its firewall backend from {now}",
            got=f"{coming} by {by}",
            todo=f"keep {now}; or change the backend without this package, and reboot the node",
        )


def refuse_moving(node: Node, old: Mapping[str, Json], new: Mapping[str, Json]) -> None:
    """
    Raise ``Problem`` if dockerd would look elsewhere for the files of running containers.

    + old, new: the whole file before and after the change
    """
    moved = [
        path
        for path in sorted(CONTAINERS_HOME)
        if at(old, path) != at(new, path) and not _is_in_use(node, path, at(new, path))
    ]
    if moved and node.containers:
        name = pointer(moved[0])
        raise Problem(
            f"the change of {name} would unmount the files of running containers and break exec",
            got=", ".join(container.name for container in node.containers),
            todo="stop these containers first, because Docker does not migrate them; or declare "
            "the old value in gvisor_daemon_json",
        )


def _is_in_use(node: Node, path: Path, value: Json) -> bool:
    """Return True if the value names the image store that Docker 29 has chosen by itself."""
    store = node.info.containerd_store if node.info else None
    return path == SNAPSHOTTER and store is not None and value is store


def _reserved_runtime(_node: Node, value: Mapping[str, Json], _owned: Mapping[Path, Json]) -> None:
    runtimes = value.get("runtimes")
    if isinstance(runtimes, dict) and "runc" in runtimes:
        what = "/runtimes/runc is reserved, and dockerd would not start with this entry"
        raise Problem(what, todo="remove the entry")


def _runtime_keys(_node: Node, _value: Mapping[str, Json], owned: Mapping[Path, Json]) -> None:
    for path, entry in owned.items():
        if path[0] != "runtimes" or len(path) == 1:
            continue
        if not isinstance(entry, dict):
            raise Problem(f"{pointer(path)} must be an object", got=shown(entry, path))
        if unknown := sorted(set(entry) - RUNTIME_KEYS):
            known = ", ".join(sorted(RUNTIME_KEYS))
            raise Problem(
                f"{pointer((*path, unknown[0]))} is not a key of a runtime",
                todo=f"use one of {known}",
            )
        if "path" in entry and "runtimeType" in entry:
            what = f"{pointer(path)} has both path and runtimeType"
            raise Problem(what, todo="remove one of them")


def _default_runtime(node: Node, value: Mapping[str, Json], owned: Mapping[Path, Json]) -> None:
    name = value.get("default-runtime", "runc")
    if name == "runc" or str(name).startswith("io.containerd."):  # built into dockerd
        return
    runtimes = value.get("runtimes")
    if not isinstance(runtimes, dict) or name not in runtimes:
        raise Problem(
            "/default-runtime is not registered", got=shown(name), todo="name one of /runtimes"
        )
    if ("default-runtime",) not in owned or name == DEFAULT_RUNTIME:
        return
    if users := [container.name for container in node.containers if container.docker_socket]:
        raise Problem(
            "/default-runtime would cut containers off from the docker.sock that they mount",
            got=f"{name} with {', '.join(users)}",
            todo="keep the default runc, and name the runtime for each app",
        )


def _live_restore_in_swarm(
    node: Node, value: Mapping[str, Json], _owned: Mapping[Path, Json]
) -> None:
    if value.get("live-restore") is True and _in_swarm(node):
        raise Problem(
            "/live-restore cannot be used in swarm mode",
            todo='leave the swarm, or set gvisor_daemon_json = {"live-restore": None}',
        )


def _flags(node: Node, value: Mapping[str, Json], owned: Mapping[Path, Json]) -> None:
    now = _names(node.dockerd.arguments if node.dockerd else ())
    coming = _names(node.next_arguments or ())
    for key in dict.fromkeys(path[0] for path in owned):
        flag = FLAG_NAMES.get(key, key)
        if key in value and flag in now | coming:
            unit = node.supervisor.unit or "its options"
            where = "of the running dockerd" if flag in now else f"in {unit} for its next start"
            raise Problem(
                f"/{key} is also set by the flag --{flag} {where}, and dockerd refuses both",
                todo="remove the flag from dockerd's unit, or do not set the key",
            )


def _other_engine(node: Node, _value: Mapping[str, Json], _owned: Mapping[Path, Json]) -> None:
    if node.engine_problem:
        raise node.engine_problem


def _in_swarm(node: Node) -> bool:
    return node.info is not None and node.info.swarm_active


def _given(node: Node) -> set[str]:
    """Return the names of dockerd's flags, as it runs and for its next start."""
    return _names(node.flags)


def _names(words: Iterable[str]) -> set[str]:
    return {_flag(word) for word in words if word.startswith("-")}


def _flag(word: str) -> str:
    name = word.split("=", maxsplit=1)[0]
    return SHORT_FLAGS.get(name[:2], name) if not name.startswith("--") else name[2:]


RULES: tuple[Callable[[Node, Mapping[str, Json], Mapping[Path, Json]], None], ...] = (
    _other_engine,
    _reserved_runtime,
    _runtime_keys,
    _default_runtime,
    _live_restore_in_swarm,
    _flags,
    other_file,
    unknown_keys,
    other_versions,
    wrong_kinds,
    unread_fields,
    log_driver,
    log_opts,
    runtimes,
    metrics_addr,
    cgroup_driver,
    address_pools,
    isolation,
    registry_mirrors,
    builder_sizes,
)
