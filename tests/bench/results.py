"""Measured results, and numbers computed from several runs."""

import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from tests.bench.measure import Run, tell
from tests.bench.node import Cost

OURS, FLOOR, AUDIT, PROOF = "ours", "floor", "audit", "proof"
PIPELINING = "Ansible, pipelining"

LOAD_MAX = 0.5
"""Above this load other processes disturb the measurement on two cores."""

Samples = list[tuple[Run, Cost]]
Results = Mapping[tuple[int, str], Samples]
"""Samples by number of hosts and name of variant, in the order of the table."""


@dataclass(frozen=True)
class Row:
    """A measured number by what is compared, round by round."""

    what: str
    by_kind: dict[str, list[float]]
    form: str = ".2f"

    def times(self, kind: str, other: str) -> float:
        """Return the median of ``kind`` divided by that of ``other``."""
        return median(self.by_kind[kind]) / median(self.by_kind[other])

    def more(self, kind: str, than: str) -> float:
        """Return how much larger the median of ``kind`` is."""
        return median(self.by_kind[kind]) - median(self.by_kind[than])


def interleaved(
    measure: Callable[[Sequence[str]], Iterable[tuple[str, str, float]]],
    kinds: Sequence[str],
    rounds: int,
    *,
    forms: Mapping[str, str] | None = None,
) -> list[Row]:
    """
    Measure all kinds in each round; each round starts with another one.

    ``measure`` gets the kinds in their order, and yields row, kind and number. ``forms``: by row.
    """
    rows: dict[str, Row] = {}
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}")
        turn = number % len(kinds)
        for what, kind, measured in measure([*kinds[turn:], *kinds[:turn]]):
            form = (forms or {}).get(what, ".2f")
            row = rows.setdefault(what, Row(what, {each: [] for each in kinds}, form))
            row.by_kind[kind].append(measured)
    return list(rows.values())


def measured_on(rounds: int) -> str:
    """Return the beginning of a sentence with date, hardware and load; the versions follow."""
    load = os.getloadavg()[0]
    if load > LOAD_MAX:
        tell(f"the machine is busy (load {load:.1f}): compare rows of a table, not seconds")
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, medians of {rounds} interleaved rounds, on "
        f"{len(os.sched_getaffinity(0))} cores ({_processor()}), Linux {platform.release()}, "
        f"load {load:.1f} before"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def wall_s(samples: Samples) -> float:
    """Return the median of the wall times, in seconds."""
    return median(run.wall_s for run, _ in samples)


def channels(samples: Samples) -> list[float]:
    """Return for each run how many exec channels it opened for one host."""
    return [cost.channels for _, cost in samples]
