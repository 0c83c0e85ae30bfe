"""Which values of daemon.json the running dockerd uses, as far as that can be known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json, JsonText, Path, lookup
from pyinfra_gvisor.daemon_json.keys import Force, force_of
from pyinfra_gvisor.daemon_json.merge import same
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.node.docker_info import DockerInfo


def known(node: Node, force: Force) -> Mapping[str, Json] | None:
    """
    Return the keys that the running dockerd read at its start (``RESTART``) or last (``RELOAD``).

    The source is our record if it is about this process, or else the file if it has not changed
    since the process started. Return None if neither is the case, ``{}`` if dockerd does not run.
    """
    if node.dockerd is None:
        return {}
    applied = node.state.get("applied")
    if isinstance(applied, dict) and applied.get("dockerd") == node.dockerd.identity:
        recorded = applied.get("started_with" if force is Force.RESTART else "loaded")
        if isinstance(recorded, dict):
            return recorded
    text = node.daemon_json.text
    if text is None:
        return {} if node.daemon_json.state == "absent" else None
    untouched = node.daemon_json.changed_s < node.dockerd.started_s
    return read_keys(JsonText(text).value, force) if untouched else None


def read_keys(value: Mapping[str, Json], force: Force) -> dict[str, Json]:
    """Return the top-level keys that need this force, and such members of ``features``."""
    found: dict[str, Json] = {}
    for key, item in value.items():
        if key == "features" and isinstance(item, dict) and item:
            members = {name: on for name, on in item.items() if force_of((key, name)) is force}
            if members:
                found[key] = members
        elif force_of((key,)) is force:
            found[key] = item
    return found


def in_force(node: Node, path: Path, value: Json) -> bool:
    """Return True if the running dockerd is known to have ``value`` at ``path``."""
    if node.info is not None and (shown := SHOWN.get(path[0])):
        return shown(node.info, path, value)
    read = known(node, force_of(path))
    return read is not None and same(at(read, path), value)


def value_in_force(node: Node, key: str, flag: str = "") -> Json:
    """
    Return a key's value in the running dockerd, or in the file if unknown; None if it is not set.

    + flag: dockerd's flag for this key, if its name differs from the key's
    """
    name = f"--{flag or key}"
    for word in reversed(node.dockerd.arguments if node.dockerd else ()):
        if word == name or word.startswith(f"{name}="):
            return word.partition("=")[2] or "true"
    try:
        read = known(node, force_of((key,)))
        if read is not None:
            return read.get(key)
        text = node.daemon_json.text
        return None if text is None else JsonText(text).value.get(key)
    except Problem:
        return None


def _live_restore(info: DockerInfo, _path: Path, value: Json) -> bool:
    return info.live_restore is (value is True)


def _default_runtime(info: DockerInfo, _path: Path, value: Json) -> bool:
    return info.default_runtime == (value or "runc")


def _runtime(info: DockerInfo, path: Path, value: Json) -> bool:
    if len(path) == 1:
        return True
    entry = info.runtimes.get(path[1])
    if entry is None or not isinstance(value, dict):
        return entry is None and value is None
    arguments = list(entry.arguments or ())
    return entry.path == value.get("path", entry.path) and arguments == value.get("runtimeArgs", [])


# Keys whose live value the daemon shows itself, which is more reliable than our record.
SHOWN: dict[str, Callable[[DockerInfo, Path, Json], bool]] = {
    "live-restore": _live_restore,
    "default-runtime": _default_runtime,
    "runtimes": _runtime,
}


def at(value: Any, path: Path) -> Json:
    """Return the value at ``path``, None if there is no such path."""
    try:
        return lookup(value, path)
    except KeyError:
        return None
