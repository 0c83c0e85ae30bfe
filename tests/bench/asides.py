"""Further costs of a network stack: CPU time of an idle container, and answers with TCP_CORK."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

from tests.bench.web import CORKED, SMALL, Pair
from tests.node.names_nodes import KINDS

IDLE_S = 30
ASKED = 11
PATIENCE_S = 15
TICK_MS = 10
"""Unit of times in /proc/<pid>/stat: sysconf(_SC_CLK_TCK) is 100 on every node: proc(5)."""

_STAT = "cat /proc/$1/stat"
# Prints the seconds of each answer; of an answer that does not come, the seconds waited.
_ASK = """
curl -s -o /dev/null -o /dev/null --max-time "$1" -w '%{time_total}\n' "$2" "$3" || :
"""


@dataclass(frozen=True)
class Asides:
    """
    By runtime: milliseconds of CPU of an idle container, and of answers with TCP_CORK.

    ``corked_ms`` are answers on a new connection, ``next_ms`` second answers on a connection.
    """

    idle_ms: dict[str, int]
    corked_ms: dict[str, list[float]]
    next_ms: dict[str, list[float]]


def asides(pair: Pair) -> Asides:
    """Measure idle CPU time first, then answers."""
    before = _spent(pair)
    time.sleep(IDLE_S)
    idle = {kind: spent - before[kind] for kind, spent in _spent(pair).items()}
    asked = {kind: [_ask(pair, kind) for _ in range(ASKED)] for kind in KINDS}
    return Asides(
        idle,
        {kind: [times[0] for times in rounds] for kind, rounds in asked.items()},
        {kind: [times[1] for times in rounds] for kind, rounds in asked.items()},
    )


def asides_sentence(found: Asides) -> str:
    """Return a sentence with the results."""
    idle = _by_kind({kind: f"{spent}" for kind, spent in found.idle_ms.items()})
    corked = _by_kind({kind: f"{median(times):.1f}" for kind, times in found.corked_ms.items()})
    later = _by_kind({kind: f"{median(times):.1f}" for kind, times in found.next_ms.items()})
    return (
        f"An idle container uses {idle} ms of CPU in {IDLE_S} s. With `tcp_nopush on` "
        f"(TCP_CORK) the first answer on a connection takes {corked} ms, the next one {later} ms "
        f"(medians of {ASKED}; limit {PATIENCE_S * 1000} ms)."
    )


def _by_kind(cells: dict[str, str]) -> str:
    names = {"runc": "runc", "runsc": "`network: host`", "gvisor": "`network: sandbox`"}
    return ", ".join(f"{cell} ({names[kind]})" for kind, cell in cells.items())


def _spent(pair: Pair) -> dict[str, int]:
    spent = {}
    for kind in KINDS:
        fields = pair.run.shell(_STAT, pair.process(kind)).rpartition(")")[2].split()
        spent[kind] = (int(fields[11]) + int(fields[12])) * TICK_MS
    return spent


def _ask(pair: Pair, kind: str) -> tuple[float, float]:
    url = pair.url(kind, SMALL, ports=CORKED)
    said = pair.client.shell(_ASK, str(PATIENCE_S), url, url).split()
    first, second = (float(text) * 1000 for text in said)
    return first, second
