"""Releases of runsc: their names, their checksums and their sources."""

from __future__ import annotations

import re
from typing import NamedTuple

from pyinfra_gvisor.base.errors import Problem

ARCHES = ("x86_64", "aarch64")
"""The architectures that gVisor has releases for, named as by uname(2)."""

# https://github.com/google/gvisor/releases: tags release-YYYYMMDD.N
_NAME = re.compile(r"(20\d{6})\.(\d{1,3})")
# `runsc --version`: release-20260928.0, or Debian's 0.0~20240729.0
_PRINTED = re.compile(r"runsc version (?:release-|0\.0~)(20\d{6})\.(\d{1,3})(?!\S)")


class Release(NamedTuple):
    """A release: its date and number. Releases compare in the order of their publication."""

    date: int
    number: int

    def __str__(self) -> str:
        return f"{self.date}.{self.number}"


def parse_release(text: str) -> Release:
    """Parse a release such as ``20260928.0``. Raises ``Problem`` for any other form."""
    if match := _NAME.fullmatch(text):
        return Release(int(match[1]), int(match[2]))
    raise Problem(
        "not a gVisor release", got=text, todo="write its date and number, such as 20260928.0"
    )


def printed_release(text: str) -> Release | None:
    """Return the release in the output of ``runsc --version``, None if it has none (nightly)."""
    match = _PRINTED.search(text)
    return Release(int(match[1]), int(match[2])) if match else None
