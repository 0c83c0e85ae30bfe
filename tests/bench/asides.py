"""Further costs of a network stack: a start's wrapper, an idle container, and TCP_CORK."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from tests.bench.goals import NAMES_MOST_MS
from tests.bench.node import BenchNode
from tests.bench.report import verdict
from tests.bench.results import Row
from tests.bench.web import CORKED, SMALL, Pair
from tests.node.names_nodes import KINDS

STARTS = 300
IDLE_S = 30
ASKED = 11
PATIENCE_S = 15
TICK_MS = 10
"""Unit of times in /proc/<pid>/stat: sysconf(_SC_CLK_TCK) is 100 on every node: proc(5)."""

_TIMING = (Path(__file__).parent / "wrapper_timing.py").read_text()
_RUNTIMES = "docker info --format '{{json .Runtimes}}'"
_ID = "docker inspect --format '{{.Id}}' gvisor"
# Prints the seconds of each answer; of an answer that does not come, the seconds waited.
_ASK = """
curl -s -o /dev/null -o /dev/null --max-time "$1" -w '%{time_total}\n' "$2" "$3" || :
"""


def asides(pair: Pair) -> str:
    """Measure; return a sentence for a start, and one for CPU time and answers with TCP_CORK."""
    start = start_sentence(_started(pair.run))
    before = _spent(pair)
    time.sleep(IDLE_S)
    idle = _by_kind({kind: f"{spent - before[kind]}" for kind, spent in _spent(pair).items()})
    asked = {kind: [_ask(pair, kind) for _ in range(ASKED)] for kind in KINDS}
    corked, later = (
        _by_kind({kind: f"{median(took[at] for took in asked[kind]):.1f}" for kind in KINDS})
        for at in (0, 1)
    )
    return (
        f"{start}\n\n"
        f"An idle container uses {idle} ms of CPU in {IDLE_S} s. With `tcp_nopush on` "
        f"(TCP_CORK) the first answer on a connection takes {corked} ms, the next one {later} ms "
        f"(medians of {ASKED}; limit {PATIENCE_S * 1000} ms)."
    )


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


def _started(node: BenchNode) -> Row:
    """Return the milliseconds of create and start in both wrappers, of a container ``gvisor``."""
    runtimes = json.loads(node.shell(_RUNTIMES))
    paths = [runtimes[name]["path"] for name in ("runsc", "gvisor")]
    said = node.shell('python3 -c "$@"', _TIMING, node.shell(_ID), str(STARTS), *paths)
    took_ms = json.loads(said)
    return Row("start, ms", {"plain": took_ms[paths[0]], "names": took_ms[paths[1]]})


def _by_kind(cells: Mapping[str, str]) -> str:
    names = {"runc": "runc", "runsc": "`network: host`", "gvisor": "`network: sandbox`"}
    return ", ".join(f"{cell} ({names[kind]})" for kind, cell in cells.items())


def _spent(pair: Pair) -> dict[str, int]:
    spent = {}
    for kind in KINDS:
        stat = pair.run.shell("cat /proc/$1/stat", pair.process(kind))
        fields = stat.rpartition(")")[2].split()
        spent[kind] = (int(fields[11]) + int(fields[12])) * TICK_MS
    return spent


def _ask(pair: Pair, kind: str) -> list[float]:
    url = pair.url(kind, SMALL, ports=CORKED)
    said = pair.client.shell(_ASK, str(PATIENCE_S), url, url).split()
    return [float(text) * 1000 for text in said]
