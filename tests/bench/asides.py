"""A further cost of a network stack: the wrapper of a container's start."""

import json
from pathlib import Path
from statistics import median

from tests.bench.goals import NAMES_MOST_MS
from tests.bench.node import BenchNode
from tests.bench.report import verdict
from tests.bench.results import Row

STARTS = 300

_TIMING = (Path(__file__).parent / "wrapper_timing.py").read_text()
_RUNTIMES = "docker info --format '{{json .Runtimes}}'"
_ID = "docker inspect --format '{{.Id}}' gvisor"


def start_sentence(found: Row) -> str:
    """Return a sentence on the time that Docker's names add to a container's start."""
    more_ms = found.more("names", "plain")
    plain_ms, names_ms = (median(found.by_kind[kind]) for kind in ("plain", "names"))
    return (
        f"The wrapper of a runtime with `dns` takes {names_ms:.2f} ms of a "
        f"container's start, the wrapper of another runtime {plain_ms:.2f} ms "
        f"(medians of {len(found.by_kind['names'])}): {more_ms:.2f} ms more; "
        f"goal: less than {NAMES_MOST_MS:g}, {verdict(more_ms < NAMES_MOST_MS)}."
    )


def started(node: BenchNode) -> Row:
    """Return the milliseconds of create and start in both wrappers, of a container ``gvisor``."""
    runtimes = json.loads(node.shell(_RUNTIMES))
    paths = [runtimes[name]["path"] for name in ("runsc", "gvisor")]
    said = node.shell('python3 -c "$@"', _TIMING, node.shell(_ID), str(STARTS), *paths)
    took_ms = json.loads(said)
    return Row("start, ms", {"plain": took_ms[paths[0]], "names": took_ms[paths[1]]})
