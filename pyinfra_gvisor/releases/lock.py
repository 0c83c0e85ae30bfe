"""The releases that this package knows, and what their files must be: ``lock.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

LOCK: dict[str, Any] = json.loads(files(__package__).joinpath("lock.json").read_text("utf-8"))
DEFAULT: str = LOCK["default"]


def known(release: str, arch: str) -> Mapping[str, str]:
    """The sha512 of each file of ``release`` for ``arch``; empty if this package knows none."""
    entry = LOCK["releases"].get(release, {})
    found: Mapping[str, str] = entry.get("sha512", {}).get(arch, {})
    return found
