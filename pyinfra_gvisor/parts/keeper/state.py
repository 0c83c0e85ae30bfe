"""Parse the state of the keeper on a node."""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra_gvisor.parts_common.timed import TimedState, read_timed


class KeeperState(TimedState):
    """The keeper's files and its timer."""


def read(lines: Sequence[str]) -> KeeperState:
    """
    Parse the output of ``state.sh``.

    Raises ``ValueError`` if a line is malformed.
    """
    return read_timed(KeeperState, lines)
