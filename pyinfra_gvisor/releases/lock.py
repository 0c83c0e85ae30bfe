"""The releases that this package knows, with the checksums of their files: ``lock.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyinfra_gvisor.releases.lockfile import PACKAGED, read_lock

_LOCK = read_lock(PACKAGED)

LOCK: dict[str, Any] = _LOCK.model_dump()
DEFAULT: str = _LOCK.default


def known(release: str, arch: str) -> Mapping[str, str]:
    """Return the sha512 of each file of ``release`` for ``arch``; empty if not in the lock."""
    entry = LOCK["releases"].get(release, {})
    found: Mapping[str, str] = entry.get("sha512", {}).get(arch, {})
    return found
