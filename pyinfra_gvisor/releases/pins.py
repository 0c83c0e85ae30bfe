"""
Check whether a release on a node is the pinned one: compare its manifest with the checksums.

A manifest has the sha512 of each downloaded file. apt downloads Debian's package without a sha512
of ours, so the manifest has none.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyinfra_gvisor.node import Node
from pyinfra_gvisor.releases.lock import known
from pyinfra_gvisor.releases.lockfile import FILES as LAYOUTS
from pyinfra_gvisor.releases.sources import PACKAGE, Archive

_SETS = (*LAYOUTS.values(), (PACKAGE,))
_SHOWN = 12  # hexadecimal digits of a sha512 that are shown, from the first difference on


def is_there(node: Node, release: str, archive: Archive) -> bool:
    """Return True if ``release`` is on the node, unchanged and from the pinned files."""
    return release in node.releases and unpinned(node, release, archive) is None


def unpinned(node: Node, release: str, archive: Archive) -> str | None:
    """
    Return why a release may not be the pinned one; None if it is, or if none is pinned.

    + archive: the declared source of this release, with its checksums
    """
    manifest = node.manifests.get(release)
    if manifest is None or archive.source == "debian":
        return None
    pins = archive.checksum(release, node.arch)
    if not pins or any(_are_as(pins, manifest.sha512, names) for names in _SETS):
        return None
    if found := _other(pins, manifest.sha512):
        return found
    only = f", only of {' and '.join(manifest.sha512)}" if manifest.sha512 else ""
    return f"the manifest has no sha512 of {' and '.join(pins)}{only}"


def contradicts(node: Node, release: str) -> str | None:
    """Return how a release that is not declared differs from the lock of this package, or None."""
    manifest = node.manifests.get(release)
    pins = known(release, node.arch)
    return _other(pins, manifest.sha512) if manifest and pins else None


def _are_as(pins: Mapping[str, str], recorded: Mapping[str, str], names: tuple[str, ...]) -> bool:
    return all(name in recorded and recorded[name] == pins.get(name) for name in names)


def _other(pins: Mapping[str, str], recorded: Mapping[str, str]) -> str | None:
    for name, digest in recorded.items():
        if name in pins and pins[name] != digest:
            was, should_be = _cut(digest, pins[name])
            return f"{name}: the manifest has sha512 {was}, but {should_be} is pinned"
    return None


def _cut(one: str, other: str) -> tuple[str, str]:
    pairs = enumerate(zip(one, other, strict=False))
    at = next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
    lead = "…" if at else ""
    return f"{lead}{one[at : at + _SHOWN]}…", f"{lead}{other[at : at + _SHOWN]}…"
