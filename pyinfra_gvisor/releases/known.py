"""
Known releases and vulnerabilities at one date, and which of them affect a given version.

The data is in ``known.json``: gVisor's releases, and vulnerabilities published since 2024 in
gVisor, Docker, containerd and runc, by the version numbers of their makers. A distribution may have
fixed one under a version number of its own. Vulnerabilities that affect only Kubernetes are left
out. The data does not replace a vulnerability scanner.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field

from pyinfra_gvisor.base.models import Strict
from pyinfra_gvisor.releases import Release, parse_release

FILE = Path(__file__).with_name("known.json")

Program = Literal["gvisor", "docker", "containerd", "runc"]

# v1.7.27, 26.1.5+dfsg1, 1.3.0-0ubuntu2~24.04.1 and 1.4.0-rc.3
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(-(?:alpha|beta|rc)\.?(\d+))?(.*)", re.DOTALL)
_DESCRIBED = re.compile(r"-\d+-g[0-9a-f]+")  # by git describe, as runc's makers do
_COMMIT = re.compile(r"(?:v\d+(?:\.\d+)+(?:-rc\.\d+)?-\d+-g)?[0-9a-f]{7,40}(?:-dirty)?")


class Version(NamedTuple):
    """A version of Docker, containerd or runc. Versions compare in the order of publication."""

    major: int
    minor: int
    patch: int
    is_final: bool = True
    candidate: int = 0

    @property
    def branch(self) -> tuple[int, int]:
        """Return the branch: versions of one branch get the same fixes."""
        return self.major, self.minor


def parse_version(text: str) -> Version | None:
    """Parse the version that a program prints. Return None for anything else, such as a commit."""
    match = _VERSION.fullmatch(text)
    if match is None:
        return None
    major, minor, patch = (int(part) for part in match.group(1, 2, 3))
    return Version(major, minor, patch, match[4] is None, int(match[5] or 0))


def is_distributions(text: str, commit: str | None = None) -> bool:
    """
    Return True if a version is a distribution's, such as ``26.1.5+dfsg1``.

    + commit: the commit that the program prints, None if unknown. Distributions print the version
      of their package there, or nothing: Ubuntu's Docker prints ``28.2.2`` and
      ``28.2.2-0ubuntu1~24.04.1``.
    """
    match = _VERSION.fullmatch(text)
    if match is None:
        return False
    marked = match[6] != "" and _DESCRIBED.fullmatch(match[6]) is None
    return marked or (commit is not None and _COMMIT.fullmatch(commit) is None)


class Vulnerability(Strict):
    """
    A published vulnerability.

    ``fixed_in`` are the first versions with the fix, one for each branch that was fixed.
    """

    program: Program
    id: str = Field(pattern=r"^(CVE-\d{4}-\d{4,}|GHSA(-[0-9a-z]{4}){3})$")
    fixed_in: tuple[str, ...] = Field(min_length=1)
    severity: Literal["low", "medium", "high", "critical"]
    what: str
    source: str = Field(pattern="^https://")

    @property
    def described(self) -> str:
        """Return the id and the versions with the fix, for messages."""
        return f"{self.id} (fixed in {', '.join(self.fixed_in)})"


class Known(Strict):
    """The whole data, with the day of its last update. Releases are sorted, the newest first."""

    as_of: date
    gvisor_releases: tuple[str, ...]
    vulnerabilities: tuple[Vulnerability, ...]

    def of(self, program: Program) -> tuple[Vulnerability, ...]:
        """Return the vulnerabilities of one program."""
        return tuple(item for item in self.vulnerabilities if item.program == program)


@cache
def known() -> Known:
    """Return the data of this package."""
    return Known.model_validate_json(FILE.read_bytes())


def open_to(program: Program, version: str) -> tuple[Vulnerability, ...]:
    """
    Return the vulnerabilities of a version of Docker, containerd or runc; none if it is unreadable.

    A version of a branch without a fix is vulnerable, unless it is newer than all fixed versions.
    """
    found = parse_version(version)
    if found is None:
        return ()
    return tuple(item for item in known().of(program) if _is_open(found, item.fixed_in))


def _is_open(version: Version, fixed_in: Iterable[str]) -> bool:
    mended = [item for text in fixed_in if (item := parse_version(text))]
    same = [item for item in mended if item.branch == version.branch]
    return version < min(same) if same else version < max(mended)


def escapes_in(release: Release) -> tuple[Vulnerability, ...]:
    """Return the known escapes that ``release`` of gVisor is open to."""
    return tuple(item for item in known().of("gvisor") if release < parse_release(item.fixed_in[0]))


def floor() -> Release:
    """Return the oldest release of gVisor without a known escape."""
    return max(parse_release(item.fixed_in[0]) for item in known().of("gvisor"))


def newer_than(release: Release) -> int:
    """Return how many known releases of gVisor are newer than this one."""
    return sum(parse_release(item) > release for item in known().gvisor_releases)
