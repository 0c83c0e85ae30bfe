"""runsc releases: how they are named, which are known to be safe, where they come from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from pyinfra_gvisor.errors import Problem

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


@dataclass(frozen=True)
class Escape:
    """A published way out of the sandbox, and the first release without it."""

    id: str
    fixed_in: Release
    what: str
    source: str


ESCAPES = (
    Escape(
        "CVE-2025-2713",
        Release(20250319, 0),
        "privilege escalation by file access through runsc's own privileges",
        "https://nvd.nist.gov/vuln/detail/CVE-2025-2713",
    ),
    Escape(
        "CVE-2026-96812",
        Release(20260831, 0),
        "a /dev/cuse node in an image reaches the host through the gofer",
        "https://nvd.nist.gov/vuln/detail/CVE-2026-96812, commit 573a9e73c of 2026-08-17",
    ),
)


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


def escapes_in(release: Release) -> tuple[Escape, ...]:
    """The known escapes that ``release`` is open to."""
    return tuple(escape for escape in ESCAPES if release < escape.fixed_in)


def floor() -> Release:
    """The oldest release without a known escape."""
    return max(escape.fixed_in for escape in ESCAPES)
