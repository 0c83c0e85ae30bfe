"""Parse the state of the resident judge on a node."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from pyinfra_gvisor.base.node_files import FoundFile, read_files
from pyinfra_gvisor.parts_common.state import PartState


class JudgeState(PartState):
    """The units by path; ``socket`` and ``service`` are from ``systemctl is-active``."""

    files: dict[str, FoundFile] = Field(default_factory=dict)
    enabled: bool = False
    socket: str | None = None
    service: str | None = None

    @property
    def there(self) -> bool:
        """Return True if anything of it is on the node."""
        return bool(self.files) or self.enabled

    @property
    def answers(self) -> bool:
        """Return True if its socket and its program are active."""
        return self.socket == self.service == "active"


def read(lines: Iterable[str]) -> JudgeState:
    """
    Parse the output of ``state.sh``.

    Raises ``ValueError`` if a line is malformed.
    """
    told: list[str] = []
    values: dict[str, str] = {}
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind in ("enabled", "socket", "service"):
            values[kind] = rest
        else:
            told.append(line)
    return JudgeState(
        files=read_files(told),
        enabled="enabled" in values,
        socket=values.get("socket"),
        service=values.get("service"),
    )
