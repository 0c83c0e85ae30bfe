"""
What takes turns, so that three days of ``.ci/run`` try all of it, and one run a third.

These are whole files that need nodes of their own or take long, sweeps over many steps, and what
differs little with Docker's version. Without the setting everything is tried.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Final, TypeVar

import pytest

SETTING: Final = "GVISOR_TEST_TURN"
"""0, 1 or 2 for one turn, which a failed run names; ``all``, as without it, for all of them."""
TURNS: Final = 3

FILES: Final = (
    (
        *("test_docker_29", "test_proof_runtimes", "test_parts", "test_names_fuzz"),
        *("test_coolify_validation", "test_crowd", "test_try"),
    ),
    (
        *("test_engine", "test_upgrade", "test_names_crowd", "test_proof_egress", "test_lab"),
        *("test_core::test_a_power_cut_in_a_deploy", "test_presets", "test_move"),
    ),
    (
        *("test_remove", "test_watch", "test_faults_services", "test_validation_by_coolify"),
        *("test_faults_moments", "test_resolver_namespaces", "test_coolify_versions"),
        *("test_measure", "test_move_coolify", "test_rollout"),
    ),
)
"""By turn: files, or tests by the beginnings of their names. No sweep that takes turns itself."""

_T = TypeVar("_T")


def current() -> str:
    """Return the turn of this run."""
    return os.environ.get(SETTING) or "all"


def leave_to_others(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests whose turn it is not."""
    out = [item for item in items if not is_of_turn(item.nodeid)]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in set(out)]


def is_of_turn(test: str) -> bool:
    """Return True if it is the turn of the test with this node id."""
    path, _, name = test.partition("::")
    known = f"{PurePath(path).stem}::{name}"
    whose = {
        str(turn) for turn, starts in enumerate(FILES) for start in starts if _begins(known, start)
    }
    return current() == "all" or not whose or current() in whose


def _begins(test: str, start: str) -> bool:
    return test.startswith(start if "::" in start else f"{start}::")


def versions_of_turn(*names: str) -> tuple[str, ...]:
    """Return the node whose turn it is, of those that have several versions of Docker."""
    turn = current()
    return names if turn == "all" else (names[-1 - int(turn) % len(names)],)


def of_turn(cases: Mapping[str, _T]) -> dict[str, _T]:
    """Return the cases whose turn it is, in their order."""
    return {name: cases[name] for name in steps_of_turn([*cases])}


def steps_of_turn(steps: Sequence[_T]) -> list[_T]:
    """Return the steps whose turn it is, in their order."""
    turn = current()
    return [*steps] if turn == "all" else [*steps[int(turn) % TURNS :: TURNS]]
