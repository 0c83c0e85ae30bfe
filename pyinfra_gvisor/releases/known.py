"""
What was known on a day, and what of it a program of some version is open to.

It is ``known.json``: gVisor's releases, and what was published since 2024 against gVisor, Docker,
containerd and runc, by the versions that their makers give. A distribution may have mended it under
a number of its own. What only Kubernetes is open to is not in it. It is no scanner's data base.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field

from pyinfra_gvisor.models import Strict
from pyinfra_gvisor.releases import Release, parse_release

FILE = Path(__file__).with_name("known.json")

Program = Literal["gvisor", "docker", "containerd", "runc"]

# v1.7.27, 26.1.5+dfsg1, 1.3.0-0ubuntu2~24.04.1 and 1.4.0-rc.3
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(-(?:alpha|beta|rc)\.?(\d+))?(.*)", re.DOTALL)
_DESCRIBED = re.compile(r"-\d+-g[0-9a-f]+")  # by git describe, as runc's makers do
_COMMIT = re.compile(r"(?:v\d+(?:\.\d+)+(?:-rc\.\d+)?-\d+-g)?[0-9a-f]{7,40}(?:-dirty)?")


class Version(NamedTuple):
    """A version of Docker, containerd or runc; versions compare in the order they came out."""

    major: int
    minor: int
    patch: int
    is_final: bool = True
    candidate: int = 0

    @property
    def branch(self) -> tuple[int, int]:
        """Which versions are mended together with it."""
        return self.major, self.minor


def parse_version(text: str) -> Version | None:
    """The version that a program gives, None for anything else, such as a commit."""
    match = _VERSION.fullmatch(text)
    if match is None:
        return None
    major, minor, patch = (int(part) for part in match.group(1, 2, 3))
    return Version(major, minor, patch, match[4] is None, int(match[5] or 0))


def is_distributions(text: str, commit: str | None = None) -> bool:
    """
    Whether a version is one of a distribution's, such as ``26.1.5+dfsg1``.

    + commit: of which commit the program says it is, None if it was not asked. Distributions have
      their package's version there, or nothing: Ubuntu's Docker calls itself ``28.2.2`` of
      ``28.2.2-0ubuntu1~24.04.1``.
    """
    match = _VERSION.fullmatch(text)
    if match is None:
        return False
    marked = match[6] != "" and _DESCRIBED.fullmatch(match[6]) is None
    return marked or (commit is not None and _COMMIT.fullmatch(commit) is None)


class Vulnerability(Strict):
    """
    Something published.

    ``fixed_in`` are the first versions without it, one for each branch that was mended.
    """

    program: Program
    id: str = Field(pattern=r"^(CVE-\d{4}-\d{4,}|GHSA(-[0-9a-z]{4}){3})$")
    fixed_in: tuple[str, ...] = Field(min_length=1)
    severity: Literal["low", "medium", "high", "critical"]
    what: str
    source: str = Field(pattern="^https://")

    @property
    def mended(self) -> str:
        """In words."""
        return f"{self.id} (fixed in {', '.join(self.fixed_in)})"


class Known(Strict):
    """All of it, with the day on which it was looked for last; releases the newest first."""

    as_of: date
    gvisor_releases: tuple[str, ...]
    vulnerabilities: tuple[Vulnerability, ...]

    def of(self, program: Program) -> tuple[Vulnerability, ...]:
        """What was published against one program."""
        return tuple(item for item in self.vulnerabilities if item.program == program)


@cache
def known() -> Known:
    """What this package brings."""
    return Known.model_validate_json(FILE.read_bytes())


def open_to(program: Program, version: str) -> tuple[Vulnerability, ...]:
    """
    What a version of Docker, containerd or runc is open to; nothing, if it cannot be read.

    A branch in which nothing was mended is open to it unless it is newer than all that were.
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
    """The known escapes that ``release`` of gVisor is open to."""
    return tuple(item for item in known().of("gvisor") if release < parse_release(item.fixed_in[0]))


def floor() -> Release:
    """The oldest release of gVisor without a known escape."""
    return max(parse_release(item.fixed_in[0]) for item in known().of("gvisor"))


def newer_than(release: Release) -> int:
    """How many of gVisor's releases that are known are newer than this one."""
    return sum(parse_release(item) > release for item in known().gvisor_releases)
