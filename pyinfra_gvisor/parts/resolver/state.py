"""Parse the state of the resolver on a node, and what it needs of the node."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from pyinfra_gvisor.base.node_files import FoundFile, read_files
from pyinfra_gvisor.parts_common.state import PartState


class ResolverState(PartState):
    """
    The resolver's files by path; ``socket`` and ``service`` are from ``systemctl is-active``.

    ``shared``: ``/`` is a shared mount, so services see later mounts. ``asks`` are the ids of
    running containers that use the resolver.
    """

    files: dict[str, FoundFile] = Field(default_factory=dict)
    strays: tuple[str, ...] = ()
    enabled: bool = False
    socket: str | None = None
    service: str | None = None
    ip: bool = False
    shared: bool = False
    asks: tuple[str, ...] = ()

    @property
    def there(self) -> bool:
        """Return True if anything of the resolver is on the node."""
        return bool(self.files or self.strays) or self.enabled

    @property
    def answers(self) -> bool:
        """Return True if its socket and its program are active."""
        return self.socket == self.service == "active"


def read(lines: Iterable[str]) -> ResolverState:
    """
    Parse the output of ``state.sh``.

    Raises ``ValueError`` if a line is malformed.
    """
    told: list[str] = []
    values: dict[str, str] = {}
    strays, asks = [], []
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind in ("sum", "stat"):
            told.append(line)
        elif kind == "stray":
            strays.append(rest)
        elif kind == "asks":
            asks.append(rest)
        else:
            values[kind] = rest
    return ResolverState(
        files=read_files(told),
        strays=tuple(strays),
        enabled="enabled" in values,
        socket=values.get("socket"),
        service=values.get("service"),
        ip="ip" in values,
        shared="shared" in values,
        asks=tuple(asks),
    )
