"""What a runtime's wrapper adds to a container's start, with names and without."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.node import BenchNode

ROUNDS = 300
MORE_MOST_MS = 5.0
"""What names are to add at most."""

_TIMING = (Path(__file__).parent / "wrapper_timing.py").read_text()
_RUNTIMES = "docker info --format '{{json .Runtimes}}'"
_ID = "docker inspect --format '{{.Id}}' gvisor"


@dataclass(frozen=True)
class Started:
    """Milliseconds of a wrapper's create and start together, round by round."""

    plain_ms: list[float]
    names_ms: list[float]

    @property
    def more_ms(self) -> float:
        """What names add to it."""
        return median(self.names_ms) - median(self.plain_ms)


def started(node: BenchNode, rounds: int = ROUNDS) -> Started:
    """Both wrappers of a node on which there is a container called ``gvisor``, of this runtime."""
    runtimes = json.loads(node.shell(_RUNTIMES))
    paths = [runtimes[name]["path"] for name in ("runsc", "gvisor")]
    said = node.shell('python3 -c "$@"', _TIMING, node.shell(_ID), str(rounds), *paths)
    took_ms = json.loads(said)
    plain, names = (took_ms[path] for path in paths)
    return Started(plain, names)
