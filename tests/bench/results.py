"""What was measured, and what is told of several runs of one thing."""

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
"""By number of hosts and name of variant, in the order it is shown in."""


@dataclass(frozen=True)
class Compared:
    """
    A number without the firewall's rules and through them, round by round; more is better.

    ``is_goal``: whether how much of it is left decides a goal.
    """

    what: str
    without: list[float]
    through: list[float]
    is_goal: bool = True

    @property
    def left(self) -> float:
        """The share that the rules leave of it."""
        return median(self.through) / median(self.without)


@dataclass(frozen=True)
class Stacked:
    """A number of each network stack, round by round, by the runtime that has it."""

    what: str
    by_kind: dict[str, list[float]]
    form: str = ".2f"

    def times(self, kind: str, other: str) -> float:
        """How many times another one's it is."""
        return median(self.by_kind[kind]) / median(self.by_kind[other])


@dataclass(frozen=True)
class Hardened:
    """Seconds that some work took, round by round, by the runtime that it was done under."""

    what: str
    by_runtime: dict[str, list[float]]

    def times(self, standard: str, strict: str) -> float:
        """How many times the one's the other one's are."""
        return median(self.by_runtime[strict]) / median(self.by_runtime[standard])


def wall_s(samples: Samples) -> float:
    """The median of wall times, in seconds."""
    return median(run.wall_s for run, _ in samples)


def channels(samples: Samples, hosts: int) -> list[float]:
    """How many exec channels each run opened a host, in order of the runs."""
    return [cost.channels / hosts for _, cost in samples]
