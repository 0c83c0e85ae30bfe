"""runsc releases: how they are named, what is known of them, where they come from."""

from __future__ import annotations

import re
from typing import NamedTuple

from pyinfra_gvisor.errors import Problem

ARCHES = ("x86_64", "aarch64")
"""What gVisor has releases for, as uname(2) has it."""

# https://github.com/google/gvisor/releases: tags release-YYYYMMDD.N
_NAME = re.compile(r"(20\d{6})\.(\d{1,3})")
# `runsc --version`: release-20260928.0, or Debian's 0.0~20240729.0
_PRINTED = re.compile(r"runsc version (?:release-|0\.0~)(20\d{6})\.(\d{1,3})(?!\S)")


class Release(NamedTuple):
    """A release by its date and number; releases compare in the order they came out."""

    date: int
    number: int

    def __str__(self) -> str:
        return f"{self.date}.{self.number}"


def parse_release(text: str) -> Release:
    """``20260928.0`` as a ``Release``; raises ``Problem`` for anything else."""
    if match := _NAME.fullmatch(text):
        return Release(int(match[1]), int(match[2]))
    raise Problem(
        "not a gVisor release", got=text, todo="write its date and number, such as 20260928.0"
    )


def printed_release(text: str) -> Release | None:
    """The release that ``runsc --version`` named, or None where it named none (nightly builds)."""
    match = _PRINTED.search(text)
    return Release(int(match[1]), int(match[2])) if match else None
