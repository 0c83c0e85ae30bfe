"""Parse the state of the watch on a node."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from pyinfra_gvisor.node_files import FoundFile, read_files
from pyinfra_gvisor.parts.state import PartState


class WatchState(PartState):
    """The watch's files by path; ``timer`` is the output of ``systemctl is-active`` for it."""

    files: dict[str, FoundFile] = Field(default_factory=dict)
    enabled: bool = False
    timer: str | None = None

    @property
    def there(self) -> bool:
        """Return True if anything of the watch is on the node."""
        return bool(self.files) or self.enabled


def read(lines: Sequence[str]) -> WatchState:
    """
    Parse the output of ``state.sh``.

    Raises ``ValueError`` if a line is malformed.
    """
    told: list[str] = []
    values: dict[str, str] = {}
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind in ("enabled", "timer"):
            values[kind] = rest
        else:
            told.append(line)
    return WatchState(
        files=read_files(told), enabled="enabled" in values, timer=values.get("timer")
    )
