"""
Measure the cost of ``hardening: "strict"``: the same work under a standard and a strict runtime,
with each network, on one node.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from tests.bench.node import BenchNode, converge, new_nodes
from tests.bench.report import hardening_table
from tests.bench.results import interleaved, measured_on
from tests.node.containers import start_container
from tests.node.running import RELEASE
from tools.lab import FLAVOURS, NodeSpec

ROUNDS = 9
PAIRS = {"host": ("standard", "strict"), "sandbox": ("inner", "innerstrict")}
"""By network: the standard runtime and the strict one."""
RUNTIMES = {
    name: {"network": network, "hardening": hardening}
    for network, pair in PAIRS.items()
    for name, hardening in zip(pair, ("standard", "strict"), strict=True)
}
_TIMED = {
    "start, and end of a container, s": (
        "docker run --rm --runtime={name} -v /usr:/usr:ro test:1 true"
    ),
    "docker exec, s": "docker exec in-{name} true",
}
_WORK = (Path(__file__).parent / "hardening_work.py").read_text()


def measured(rounds: int) -> str:
    """Measure; return a description and a table."""
    about = measured_on(rounds)
    with new_nodes("hardening", NodeSpec(FLAVOURS["debian-13"])) as (node,):
        converge({"hardened": node.lab_node}, gvisor_runtimes=RUNTIMES)
        for name in RUNTIMES:
            start_container(node.lab_node, f"in-{name}", f"--runtime={name}")
        list(_round(node, [*RUNTIMES]))  # not counted: the first time is slow
        rows = interleaved(partial(_round, node), [*RUNTIMES], rounds)
        about += f"; in the node {node.versions()}, runsc {RELEASE}."
    return f"{about}\n\n{hardening_table(rows, PAIRS)}"


def _round(node: BenchNode, names: Sequence[str]) -> Iterator[tuple[str, str, float]]:
    """Do all the work under each runtime; yield row, runtime and seconds."""
    for what, command in _TIMED.items():
        for name in names:
            began_s = time.monotonic()
            node.shell(command.format(name=name))
            yield what, name, time.monotonic() - began_s
    for name in names:
        said = node.shell('docker exec "in-$1" python3 -c "$2"', name, _WORK)
        told: Mapping[str, float] = json.loads(said)
        yield from ((what, name, took_s) for what, took_s in told.items())
