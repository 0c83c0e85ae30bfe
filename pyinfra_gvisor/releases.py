"""runsc releases: how they are named, which are known to be safe, where they come from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pyinfra_gvisor.errors import Problem

# https://github.com/google/gvisor/releases: tags release-YYYYMMDD.N
_NAME = re.compile(r"(20\d{6})\.(\d{1,3})")
# `runsc --version`: release-20260928.0, or Debian's 0.0~20240729.0
_PRINTED = re.compile(r"runsc version (?:release-|0\.0~)(20\d{6})\.(\d{1,3})(?!\S)")

# The bucket's layout since August 2026, google/gvisor#13718.
OFFICIAL_URL = (
    "https://storage.googleapis.com/gvisor/releases/release/{release}/{arch}/gvisor.tar.bz2"
)


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

# sha512 of gvisor.tar.bz2 by release and architecture: the bucket's own .sha512, found equal in
# more than ten unrelated public repositories for 20260928.0 and in two for 20260831.0 x86_64
# (one for aarch64).
SHA512: dict[tuple[str, str], str] = {
    ("20260928.0", "x86_64"): (
        "c8d3a9fd4d4c4f5b8ff213caa4517356be128d18659ec4cde37828fe797f61a9"
        "725a602a846c81a8ed19c057a996515d31c081eba343ed4613a89951ba32ed59"
    ),
    ("20260928.0", "aarch64"): (
        "926538a4f20056d44838f230297ecec9192db2562e2523a207295f706b761267"
        "25f2ff7b4e59d747147510c5714057eeec862a0f77d43bf625746592b5f51b00"
    ),
    ("20260831.0", "x86_64"): (
        "c7b4f22c60be3ea5a0ace478ed390403255d818729aaccff82d5b60026f3060d"
        "2ea31ab6670249a34a98eef59726217018c91ec631f7d753459127d930658392"
    ),
    ("20260831.0", "aarch64"): (
        "9e60dd883aaa9aa341f4708c9de3d0e34b91fb5c4f62534520e636fa509cb040"
        "1116428497a2324f69003b88fdabadf195e8bb66c00de3baed07a9fa95583b90"
    ),
}


@dataclass(frozen=True)
class Archive:
    """
    Where a release comes from and what its archive must be.

    ``source`` is ``official``, ``debian``, a URL or an absolute path on the controller; the last
    two may hold ``{release}`` and ``{arch}``. ``sha512`` is by architecture; where it is empty, the
    values that this package knows count.
    """

    source: str = "official"
    sha512: Mapping[str, str] = field(default_factory=dict)

    def location(self, release: str, arch: str) -> str:
        """The URL or the path of the archive; nothing for Debian's package."""
        if self.source == "debian":
            return ""
        template = OFFICIAL_URL if self.source == "official" else self.source
        return template.replace("{release}", release).replace("{arch}", arch)

    def checksum(self, release: str, arch: str) -> str | None:
        """The sha512 that the archive must have, or None if nobody named one."""
        return self.sha512.get(arch) if self.sha512 else SHA512.get((release, arch))


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
