"""
Long sweeps take turns: a fault at each of many steps is caused at a third of them in one run, and
what differs little with Docker's version is tried with one of them.

Each day has its turn, so that three days try all. ``make test-all`` tries all in one run.
"""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

SETTING = "GVISOR_TEST_TURN"
"""0, 1 or 2 for one turn, which a failed run names; ``all`` for all of them."""
TURNS = 3

_T = TypeVar("_T")


def settle() -> str:
    """Return the turn of this run; its other processes take the same one, also after midnight."""
    today = datetime.now(UTC).toordinal() % TURNS
    return os.environ.setdefault(SETTING, str(today))


def versions_of_turn(*names: str) -> tuple[str, ...]:
    """Return the node whose turn it is, of those that have several versions of Docker."""
    turn = settle()
    return names if turn == "all" else (names[-1 - int(turn) % len(names)],)


def of_turn(cases: Mapping[str, _T]) -> dict[str, _T]:
    """Return the cases whose turn it is, in their order."""
    return {name: cases[name] for name in steps_of_turn([*cases])}


def steps_of_turn(steps: Sequence[_T]) -> list[_T]:
    """Return the steps whose turn it is, in their order."""
    turn = settle()
    return [*steps] if turn == "all" else [*steps[int(turn) % TURNS :: TURNS]]
