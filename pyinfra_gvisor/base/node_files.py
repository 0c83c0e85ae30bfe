"""Files on a node that this package owns whole: as declared and as found."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from pyinfra_gvisor.base.models import Reading
from pyinfra_gvisor.base.scripts import packed

ROOT = "0:0"
UNITS = "/etc/systemd/system"
RECORDS_DIR = "/var/lib/pyinfra-gvisor"  # what we remember about a node


class FoundFile(Reading):
    """A file of ours as found on a node. ``mode`` is octal, ``owner`` is ``uid:gid``."""

    sha256: str
    mode: str = ""
    owner: str = ""


@dataclass(frozen=True)
class NodeFile:
    """A file as declared for the node. Its owner is root."""

    path: str
    mode: str
    text: str

    def matches(self, found: FoundFile | None) -> bool:
        """Return True if the file found on the node equals this one."""
        return found == FoundFile(sha256=self.sha256, mode=self.mode, owner=ROOT)

    @property
    def sha256(self) -> str:
        """Return the sha256 of the content."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def words(self) -> tuple[str, str, str]:
        """Return the arguments for ``base/put_files.sh``: path, mode and content in base64."""
        return self.path, self.mode, packed(self.text)


def read_files(lines: Sequence[str]) -> dict[str, FoundFile]:
    """
    Return files by path, from the lines that a script on the node printed.

    + lines: ``sum <sha256> <path>`` and ``stat <mode>:<uid>:<gid> <path>``

    Raises ``ValueError`` if a line is malformed.
    """
    told: dict[str, dict[str, str]] = {"sum": {}, "stat": {}}
    for line in lines:
        kind, value, path = line.split(" ", 2)
        if kind not in told:
            raise ValueError(f"expected sum or stat, got {kind}")
        told[kind][path] = value
    stats = {path: stat.partition(":") for path, stat in told["stat"].items()}
    return {
        path: FoundFile(sha256=digest, mode=stats[path][0], owner=stats[path][2])
        for path, digest in told["sum"].items()
        if path in stats
    }


def drop_in(unit: str, name: str) -> str:
    """Return the path of an addition of ours to another's unit."""
    return f"{UNITS}/{unit}.d/{name}.conf"


def unit_text(*lines: str) -> str:
    """Return the text of a systemd unit of ours, see systemd.syntax(7)."""
    head = "# Managed by pyinfra-gvisor, which overwrites changes.\n"
    return head + "".join(f"{line}\n" for line in lines)
