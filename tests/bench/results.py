"""Measured results, and numbers computed from several runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from tests.bench.measure import Run
from tests.bench.node import Cost

OURS, FLOOR, AUDIT, PROOF = "ours", "floor", "audit", "proof"
PIPELINING, NO_PIPELINING = "Ansible, pipelining", "Ansible, no pipelining"

Samples = list[tuple[Run, Cost]]
Results = Mapping[tuple[int, str], Samples]
"""Samples by number of hosts and name of variant, in the order of the table."""


@dataclass(frozen=True)
class Row:
    """A measured number by what is compared, round by round; ``is_goal``: it decides a goal."""

    what: str
    by_kind: dict[str, list[float]]
    form: str = ".2f"
    is_goal: bool = False

    def times(self, kind: str, other: str) -> float:
        """Return the median of ``kind`` divided by that of ``other``."""
        return median(self.by_kind[kind]) / median(self.by_kind[other])

    def more(self, kind: str, than: str) -> float:
        """Return how much larger the median of ``kind`` is."""
        return median(self.by_kind[kind]) - median(self.by_kind[than])


def wall_s(samples: Samples) -> float:
    """Return the median of the wall times, in seconds."""
    return median(run.wall_s for run, _ in samples)


def channels(samples: Samples, hosts: int) -> list[float]:
    """Return for each run how many exec channels it opened for one host."""
    return [cost.channels / hosts for _, cost in samples]
