"""
The releases on a node: the origin of each, and whether its files are still as installed.

To hash some hundred megabytes in every run would take longer than all the rest. A file that was
changed, truncated, replaced or made unreadable has another size, mode, owner or time than when it
was hashed, so these are compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from pydantic import Field

from pyinfra_gvisor.base.models import Reading
from pyinfra_gvisor.sandbox.verdict import PROGRAMS, RELEASES_DIR

MANIFEST = "manifest.json"


class Manifest(Reading):
    """
    The record of a release that ``releases/install.sh`` wrote.

    ``sha512`` is by name of the downloaded file, empty for Debian's package. ``stat`` has a line
    for each member, as ``find`` prints the line. ``members`` has the sha256 of each member.
    """

    release: str
    source: str = ""
    sha512: dict[str, str] = Field(default_factory=dict)
    installed_at: str = ""
    members: dict[str, str] = Field(default_factory=dict)
    stat: tuple[str, ...] = ()


class Store(Reading):
    """The file system of the releases: its mount options and free bytes (None: unknown)."""

    options: tuple[str, ...] = ()
    free_bytes: int | None = None
    stray_sidecars: bool = False  # /usr/local/bin/gvisor-bin


def read_manifests(lines: Iterable[str]) -> dict[str, Manifest]:
    """Return the manifests by release, from lines ``<release> <json>``; skip damaged ones."""
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
    Return the releases whose files are as in their manifests.

    + members: a line for each file of every release, as in a manifest, after ``<release>/``
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
    Return the releases of gVisor's programs, by path, if they are as in their manifests.

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
    """Return the releases of gVisor's programs, by the programs' sha256 in the manifests."""
    return {
        manifest.members[member]: release
        for release, manifest in manifests.items()
        for member in PROGRAMS
        if member in manifest.members
    }


def read_store(values: Mapping[str, str]) -> Store:
    """Return the file system of the releases, from the lines of ``node/node_state.sh``."""
    blocks = values.get("store_free", "").split(" ")
    return Store(
        options=tuple(values.get("store_options", "").split(",")),
        free_bytes=int(blocks[0]) * int(blocks[1]) if len(blocks) > 1 else None,
        stray_sidecars="stray_sidecars" in values,
    )
