"""
Measure the cost of ``hardening: "strict"``: the same work under a standard and a strict runtime,
with each network, on one node.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.bench.machine import measured_on
from tests.bench.node import BenchNode, converge
from tests.bench.results import Row
from tests.node.containers import start_container
from tests.node.running import RELEASE
from tools.lab import FLAVOURS, Lab, NodeSpec

LAB_NAME = "gvisor-bench-hardening"
ROUNDS = 9
PAIRS = {"host": ("standard", "strict"), "sandbox": ("inner", "innerstrict")}
"""By network: the standard runtime and the strict one."""
RUNTIMES = {
    name: {"network": network, "hardening": hardening}
    for network, pair in PAIRS.items()
    for name, hardening in zip(pair, ("standard", "strict"), strict=True)
}
START = "start, and end of a container, s"
EXEC = "docker exec, s"
_WORK = (Path(__file__).parent / "hardening_work.py").read_text()


def compare(rounds: int, *, load: float, tell: Callable[[str], None]) -> tuple[str, list[Row]]:
    """Measure; return a description and the rows."""
    with _node() as node:
        list(_round(node, list(RUNTIMES)))  # not counted: the first time is slow
        rows: dict[str, Row] = {}
        for number in range(rounds):
            tell(f"hardening, round {number + 1} of {rounds}")
            turn = number % len(RUNTIMES)
            names = [*RUNTIMES][turn:] + [*RUNTIMES][:turn]
            for what, name, took_s in _round(node, names):
                rows.setdefault(what, Row(what, {each: [] for each in RUNTIMES}))
                rows[what].by_kind[name].append(took_s)
        docker = node.shell("docker version --format '{{.Server.Version}}'")
    about = f"{measured_on(rounds, load)}; in the node Docker {docker}, runsc {RELEASE}."
    return about, list(rows.values())


def _round(node: BenchNode, names: list[str]) -> Iterator[tuple[str, str, float]]:
    """Do all the work under each runtime; yield row, runtime and seconds."""
    for name in names:
        yield START, name, _took_s(node, _RUN.format(name=name))
    for name in names:
        yield EXEC, name, _took_s(node, f"docker exec in-{name} true")
    for name in names:
        said = node.shell('docker exec "in-$1" python3 -c "$2"', name, _WORK)
        told: Mapping[str, float] = json.loads(said)
        for what, took_s in told.items():
            yield what, name, took_s


_RUN = "docker run --rm --runtime={name} -v /usr:/usr:ro test:1 true"


def _took_s(node: BenchNode, command: str) -> float:
    began_s = time.monotonic()
    node.shell(command)
    return time.monotonic() - began_s


@contextmanager
def _node() -> Iterator[BenchNode]:
    lab = Lab(LAB_NAME)
    lab.down()
    try:
        (made,) = lab.up([NodeSpec(FLAVOURS["debian-13"])])
        converge({"hardened": made}, gvisor_runtimes=RUNTIMES)
        for name in RUNTIMES:
            start_container(made, f"in-{name}", f"--runtime={name}")
        yield BenchNode(made)
    finally:
        lab.down()
