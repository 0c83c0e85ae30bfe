"""Parse the state of the door on a node."""

from __future__ import annotations

from collections.abc import Iterable

from pyinfra_gvisor.parts_common.served import ServedState, read_served


class DoorState(ServedState):
    """The files of the door. ``judged``: the judge answers at the socket as dockerd asks."""

    judged: bool = False

    @property
    def runs(self) -> bool:
        """Return True if its socket and its program are active, and the judge answers."""
        return self.answers and self.judged


def read(lines: Iterable[str]) -> DoorState:
    """
    Parse the output of ``state.sh``.

    Raises ``ValueError`` if a line is malformed.
    """
    return read_served(DoorState, lines)
