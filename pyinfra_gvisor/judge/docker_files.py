"""
What Docker wrote about a container before it calls a runtime.

Docker's API must not be asked: while dockerd creates a container, it does not answer about this
container. After a power cut it does not answer at all before it has restarted the containers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyinfra_gvisor.judge.container import Container, Mount


class Undecided(Exception):
    """Nothing can be decided, so the container is refused. The message says why."""


def read_text(path: str) -> str:
    """Return a file's text as it is. Raises ``Undecided`` if the file cannot be read."""
    try:
        return Path(path).read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise Undecided(f"cannot read {path}: {error.strerror}") from None


def read_object(path: str) -> dict[str, Any]:
    """Return the JSON object in a file. Raises ``Undecided`` if it is not complete."""
    return parse_object(read_text(path), path)


def parse_object(text: str, path: str) -> dict[str, Any]:
    """Return a JSON object. Raises ``Undecided`` if it is not complete, or has a key twice."""
    try:
        found = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Undecided(f"{path} is not complete")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):  # who reads takes the first or the last
        raise ValueError("a key is there twice")
    return found


def data_root(path: str, identity: str) -> str | None:
    """Return Docker's data root: the directory above a root file system that has a container."""
    while "/" in path:
        path = path.rpartition("/")[0]
        if Path(path, "containers", identity, "config.v2.json").exists():
            return path
    return None


def read_container(root: str, identity: str) -> Container:
    """
    Return a container as Docker's files describe it.

    + root: Docker's data root

    Raises ``Undecided`` if a file is missing or incomplete.
    """
    directory = f"{root}/containers/{identity}"
    top = read_object(f"{directory}/config.v2.json")
    if not top.get("Config") or top.get("ID") != identity:
        raise Undecided(f"{directory}/config.v2.json is not complete")
    host = read_object(f"{directory}/hostconfig.json")
    if host.get("NetworkMode") is None:
        raise Undecided(f"{directory}/hostconfig.json is not complete")
    points = top.get("MountPoints") or {}
    return Container(
        id=identity,
        name=(top.get("Name") or "").removeprefix("/"),
        image_id=top.get("Image") or "",
        program=tuple(
            word for word in (top.get("Path"), *(top.get("Args") or ())) if word is not None
        ),
        mounts=tuple(_mount(root, to, points[to]) for to in sorted(points)),
        secrets=bool(top.get("SecretReferences") or top.get("ConfigReferences")),
        config=top["Config"],
        host=host,
    )


def _mount(root: str, destination: str, point: Mapping[str, Any]) -> Mount:
    bound = (point.get("Spec") or {}).get("BindOptions") or {}
    given = (point.get("Spec") or {}).get("VolumeOptions") or {}
    found = Mount(
        destination,
        source=point.get("Source") or "",
        kind=point.get("Type") or "",
        name=point.get("Name") or "",
        driver=point.get("Driver") or "",
        writable=bool(point.get("RW") or bound.get("ReadOnlyNonRecursive")),
        copies=not (given.get("NoCopy") or "nocopy" in (point.get("Mode") or "").split(",")),
    )
    source = found.source or (point.get("Spec") or {}).get("Source") or ""
    if not (found.is_volume and found.name):
        return replace(found, source=source)
    own = f"{root}/volumes/{found.name}/_data"  # before it is mounted, a volume has no source
    return replace(found, source=found.source or own, options=volume_options(root, found.name))


def volume_options(root: str, name: str) -> dict[str, str]:
    """
    Return what the options of a volume of driver ``local`` mount on it; empty if nothing.

    Docker keeps them next to the volume's files: moby, daemon/volume/local.
    """
    path = f"{root}/volumes/{name}/opts.json"
    found = read_object(path) if Path(path).exists() else {}
    return found if found.get("MountDevice") else {}
