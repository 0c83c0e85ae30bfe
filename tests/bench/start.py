"""Measure what a runtime's wrapper adds to a container's start, with Docker's names and without."""

from __future__ import annotations

import json
from pathlib import Path

from tests.bench.node import BenchNode
from tests.bench.results import Row

ROUNDS = 300
MORE_MOST_MS = 5.0
"""Goal: Docker's names add less than so many milliseconds."""

_TIMING = (Path(__file__).parent / "wrapper_timing.py").read_text()
_RUNTIMES = "docker info --format '{{json .Runtimes}}'"
_ID = "docker inspect --format '{{.Id}}' gvisor"


def started(node: BenchNode, rounds: int = ROUNDS) -> Row:
    """
    Measure both wrappers on a node with a container ``gvisor`` of the runtime ``gvisor``.

    Returns the milliseconds of create and start together, of ``plain`` and of one with ``names``.
    """
    runtimes = json.loads(node.shell(_RUNTIMES))
    paths = [runtimes[name]["path"] for name in ("runsc", "gvisor")]
    said = node.shell('python3 -c "$@"', _TIMING, node.shell(_ID), str(rounds), *paths)
    took_ms = json.loads(said)
    return Row("start, ms", {"plain": took_ms[paths[0]], "names": took_ms[paths[1]]})
