"""What was measured, and what is told of several runs of one thing."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from tests.bench.measure import Run
from tests.bench.node import Cost

OURS, FLOOR, AUDIT, PROOF = "ours", "floor", "audit", "proof"
PIPELINING, NO_PIPELINING = "Ansible, pipelining", "Ansible, no pipelining"

Samples = list[tuple[Run, Cost]]
Results = Mapping[tuple[int, str], Samples]
"""By number of hosts and name of variant, in the order it is shown in."""


def wall_s(samples: Samples) -> float:
    """The median of wall times, in seconds."""
    return median(run.wall_s for run, _ in samples)


def channels(samples: Samples, hosts: int) -> list[float]:
    """How many exec channels each run opened a host, in order of the runs."""
    return [cost.channels / hosts for _, cost in samples]
