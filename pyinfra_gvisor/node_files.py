"""Whole files of ours on a node: as they have to lie there, and as they were found."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from pyinfra_gvisor.models import Reading
from pyinfra_gvisor.scripts import encoded

ROOT = "0:0"


class FoundFile(Reading):
    """A file of ours as it lies on a node; ``mode`` is octal, ``owner`` in numbers."""

    sha256: str
    mode: str = ""
    owner: str = ""


@dataclass(frozen=True)
class NodeFile:
    """A file as it has to lie on the node, root's."""

    path: str
    mode: str
    text: str

    def is_as(self, found: FoundFile | None) -> bool:
        """Whether what was found there is this."""
        return found == FoundFile(sha256=self.sha256, mode=self.mode, owner=ROOT)

    @property
    def sha256(self) -> str:
        """Of its content."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def words(self) -> tuple[str, str, str]:
        """Path, mode and content in base64, as ``scripts/put_files.sh`` takes them."""
        return self.path, self.mode, encoded(self.text)


def read_files(lines: Sequence[str]) -> dict[str, FoundFile]:
    """
    Files by path, as scripts on a node tell of them.

    + lines: ``sum``, a sha256 and a path; or ``stat``, ``mode:uid:gid`` and a path

    Raises ``ValueError`` if a line is malformed.
    """
    told: dict[str, dict[str, str]] = {"sum": {}, "stat": {}}
    for line in lines:
        kind, value, path = line.split(" ", 2)
        if kind not in told:
            raise ValueError(f"neither sum nor stat: {kind}")
        told[kind][path] = value
    stats = {path: stat.partition(":") for path, stat in told["stat"].items()}
    return {
        path: FoundFile(sha256=digest, mode=stats[path][0], owner=stats[path][2])
        for path, digest in told["sum"].items()
        if path in stats
    }


def unit_text(*lines: str) -> str:
    """A unit of systemd's that is ours: systemd.syntax(7)."""
    return "# Of pyinfra-gvisor, which writes it anew.\n" + "".join(f"{line}\n" for line in lines)
