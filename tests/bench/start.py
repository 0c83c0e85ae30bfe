"""Measure what a runtime's wrapper adds to a container's start, with Docker's names and without."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.node import BenchNode

ROUNDS = 300
MORE_MOST_MS = 5.0
"""Goal: Docker's names add less than so many milliseconds."""

_TIMING = (Path(__file__).parent / "wrapper_timing.py").read_text()
_RUNTIMES = "docker info --format '{{json .Runtimes}}'"
_ID = "docker inspect --format '{{.Id}}' gvisor"


@dataclass(frozen=True)
class Started:
    """Milliseconds of a wrapper's create and start together, for each round."""

    plain_ms: list[float]
    names_ms: list[float]

    @property
    def more_ms(self) -> float:
        """Return the milliseconds that names add, by medians."""
        return median(self.names_ms) - median(self.plain_ms)


def started(node: BenchNode, rounds: int = ROUNDS) -> Started:
    """Measure both wrappers on a node with a container ``gvisor`` of the runtime ``gvisor``."""
    runtimes = json.loads(node.shell(_RUNTIMES))
    paths = [runtimes[name]["path"] for name in ("runsc", "gvisor")]
    said = node.shell('python3 -c "$@"', _TIMING, node.shell(_ID), str(rounds), *paths)
    took_ms = json.loads(said)
    plain, names = (took_ms[path] for path in paths)
    return Started(plain, names)
