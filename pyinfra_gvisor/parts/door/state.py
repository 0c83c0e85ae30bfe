"""Parse the state of the door on a node."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from pyinfra_gvisor.base.node_files import FoundFile, read_files
from pyinfra_gvisor.parts_common.state import PartState


class DoorState(PartState):
    """
    The files by path.

    ``socket`` and ``service`` are from ``systemctl is-active``. ``answers``: somebody answers at
    the socket as dockerd asks.
    """

    files: dict[str, FoundFile] = Field(default_factory=dict)
    enabled: bool = False
    socket: str | None = None
    service: str | None = None
    answers: bool = False

    @property
    def there(self) -> bool:
        """Return True if anything of it is on the node."""
        return bool(self.files) or self.enabled

    @property
    def runs(self) -> bool:
        """Return True if its socket and its program are active, and answer."""
        return self.socket == self.service == "active" and self.answers


def read(lines: Iterable[str]) -> DoorState:
    """
    Parse the output of ``state.sh``.

    Raises ``ValueError`` if a line is malformed.
    """
    told: list[str] = []
    values: dict[str, str] = {}
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind in ("enabled", "socket", "service", "answers"):
            values[kind] = rest
        else:
            told.append(line)
    return DoorState(
        files=read_files(told),
        enabled="enabled" in values,
        socket=values.get("socket"),
        service=values.get("service"),
        answers="answers" in values,
    )
