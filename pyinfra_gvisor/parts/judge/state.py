"""Parse the state of the resident judge on a node."""

from __future__ import annotations

from collections.abc import Iterable

from pyinfra_gvisor.parts_common.served import ServedState, read_served


class JudgeState(ServedState):
    """The units of the resident judge."""


def read(lines: Iterable[str]) -> JudgeState:
    """
    Parse the output of ``state.sh``.

    Raises ``ValueError`` if a line is malformed.
    """
    return read_served(JudgeState, lines)
