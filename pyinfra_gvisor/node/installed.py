"""
The releases on a node: where each came from, and whether it is still what was installed.

Hashing some hundred megabytes at every run would take longer than all else. A file that was
changed, cut short, replaced or made unreadable has another size, mode, owner or time than when it
was hashed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from pydantic import Field

from pyinfra_gvisor.models import Reading
from pyinfra_gvisor.sandbox.verdict import PROGRAMS, RELEASES_DIR

MANIFEST = "manifest.json"


class Manifest(Reading):
    """
    What ``scripts/install_release.sh`` wrote down of a release.

    ``sha512`` is by the name of the file that was fetched, empty for Debian's package. ``stat`` has
    a line for each member, as ``find`` prints it, ``members`` its sha256.
    """

    release: str
    source: str = ""
    sha512: dict[str, str] = Field(default_factory=dict)
    installed_at: str = ""
    members: dict[str, str] = Field(default_factory=dict)
    stat: tuple[str, ...] = ()


class Store(Reading):
    """Where releases go: the mount options there, and what is free, in bytes."""

    options: tuple[str, ...] = ()
    free_bytes: int | None = None
    stray_sidecars: bool = False  # /usr/local/bin/gvisor-bin


def read_manifests(lines: Iterable[str]) -> dict[str, Manifest]:
    """The manifests by release, from lines ``<release> <json>``; a damaged one counts as none."""
    found = {}
    for line in lines:
        name, _, text = line.partition(" ")
        try:
            manifest = Manifest.model_validate(json.loads(text))
        except (RecursionError, ValueError):
            continue
        if manifest.release == name:
            found[name] = manifest
    return found


def intact(
    names: Iterable[str], manifests: Mapping[str, Manifest], members: Sequence[str]
) -> tuple[str, ...]:
    """
    The releases whose members are as their manifests say.

    + members: a line for each file of every release, as in a manifest, behind ``<release>/``
    """
    seen: dict[str, list[str]] = {}
    for line in members:
        name, _, rest = line.partition("/")
        if not rest.startswith(f"{MANIFEST} "):
            seen.setdefault(name, []).append(rest)
    return tuple(
        name
        for name in sorted(names)
        if name in manifests and sorted(seen.get(name, [])) == sorted(manifests[name].stat) != []
    )


def programs(manifests: Mapping[str, Manifest], members: Sequence[str]) -> dict[str, str]:
    """
    The releases of the programs that sandboxes run and that are as their manifests say, by path.

    + members: as for ``intact``
    """
    found = {}
    for line in members:
        release, _, rest = line.partition("/")
        member = rest.split(" ", 1)[0]
        if member in PROGRAMS and release in manifests and rest in manifests[release].stat:
            found[f"{RELEASES_DIR}/{release}/{member}"] = release
    return found


def sums(manifests: Mapping[str, Manifest]) -> dict[str, str]:
    """The releases of the programs that sandboxes run, by their sha256 in the manifest."""
    return {
        manifest.members[member]: release
        for release, manifest in manifests.items()
        for member in PROGRAMS
        if member in manifest.members
    }


def read_store(values: Mapping[str, str]) -> Store:
    """The file system that releases go to, from the lines of ``scripts/node_state.sh``."""
    blocks = values.get("store_free", "").split(" ")
    return Store(
        options=tuple(values.get("store_options", "").split(",")),
        free_bytes=int(blocks[0]) * int(blocks[1]) if len(blocks) > 1 else None,
        stray_sidecars="stray_sidecars" in values,
    )
