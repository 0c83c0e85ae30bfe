"""What of the resolver is on a node, and what the node has for it."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from pyinfra_gvisor.node_files import FoundFile, read_files
from pyinfra_gvisor.parts.state import PartState


class ResolverState(PartState):
    """
    Files by path; ``socket`` and ``service`` are what ``systemctl is-active`` says of the units.

    ``python`` is the version of the node's ``/usr/bin/python3``, empty if there is none, and
    ``modules`` are those of the ones that ``python3-minimal`` leaves out that it has. ``shared`` is
    whether services see what is mounted later. ``asks`` are the ids of the containers that run with
    it.
    """

    files: dict[str, FoundFile] = Field(default_factory=dict)
    strays: tuple[str, ...] = ()
    enabled: bool = False
    socket: str | None = None
    service: str | None = None
    python: str = ""
    modules: tuple[str, ...] = ()
    ip: bool = False
    shared: bool = False
    asks: tuple[str, ...] = ()

    @property
    def there(self) -> bool:
        """Whether any of it is there."""
        return bool(self.files or self.strays) or self.enabled

    @property
    def answers(self) -> bool:
        """Whether it listens and runs."""
        return self.socket == self.service == "active"


def read(lines: Iterable[str]) -> ResolverState:
    """
    What ``state.sh`` tells.

    Raises ``ValueError`` if a line is malformed.
    """
    told: list[str] = []
    values: dict[str, str] = {}
    strays, modules, asks = [], [], []
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind in ("sum", "stat"):
            told.append(line)
        elif kind == "stray":
            strays.append(rest)
        elif kind == "asks":
            asks.append(rest)
        elif kind == "module":
            modules.append(rest)
        else:
            values[kind] = rest
    return ResolverState(
        files=read_files(told),
        strays=tuple(strays),
        enabled="enabled" in values,
        socket=values.get("socket"),
        service=values.get("service"),
        python=values.get("python", ""),
        modules=tuple(modules),
        ip="ip" in values,
        shared="shared" in values,
        asks=tuple(asks),
    )
