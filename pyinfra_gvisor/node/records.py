"""Our records on a node: those that can be used, and why others cannot."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pyinfra_gvisor.base.models import Reading

COPY = "owned.copy"
"""The second copy of ``owned``, written by the same transaction."""

VERSIONS = {"owned": 2, COPY: 2, "applied": 1, "last-run": 1, "proof": 1, "proof-try": 1}
"""The newest version of each record that this package knows. Without one it is version 1."""


class Unusable(Reading):
    """
    A record that exists but cannot be used: ``newer`` than this package, or else damaged.

    ``got`` is the evidence: the record's version, or the length of the file. The content of a
    damaged file is never shown, because it may contain passwords of daemon.json.
    """

    name: str
    newer: bool
    got: str

    @property
    def file(self) -> str:
        """The file's name in our directory."""
        return f"{self.name}.json"


def read_records(
    texts: Mapping[str, str],
) -> tuple[dict[str, dict[str, Any]], tuple[Unusable, ...]]:
    """Return the usable records by name, and the unusable ones."""
    found: dict[str, dict[str, Any]] = {}
    unusable = []
    for name in VERSIONS:
        text = texts.get(name)
        if text is None:
            continue
        read = read_record(name, text)
        if isinstance(read, Unusable):
            unusable.append(read)
        else:
            found[name] = read
    return found, tuple(unusable)


def read_record(name: str, text: str) -> dict[str, Any] | Unusable:
    """Return the record of this name from its text, or why the record cannot be used."""
    got = f"{len(text)} characters that are not a record"
    damaged = Unusable(name=name, newer=False, got=got)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return damaged
    if not isinstance(value, dict):
        return damaged
    version = value.get("version", 1)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        return damaged
    if version > VERSIONS[name]:
        return Unusable(name=name, newer=True, got=f"version {version}")
    return value
