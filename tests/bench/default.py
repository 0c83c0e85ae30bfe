"""Measure what ``gvisor_default`` costs: the same calls with the runtime asked for, and without."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.machine import measured_on
from tests.bench.node import BenchNode, converge
from tests.bench.results import Row
from tests.node.containers import remove_container, start_container
from tests.node.running import RELEASE
from tools.lab import FLAVOURS, Lab, NodeSpec

LAB_NAME = "gvisor-bench-default"
ROUNDS = 20
STAGES = ("off", "sandbox", "sandbox-all")
BOUND = ("-v", "/usr:/usr:ro")
KINDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "off, by name": ("off", ("--runtime=runsc",)),
    "by default": ("sandbox", ()),
    "by name": ("sandbox", ("--runtime=runsc",)),
    "asks for runc": ("sandbox-all", ("--runtime=runc",)),
}
"""What is compared: the stage of its node, and the options of ``docker run``."""
_SEAL = {"binds": ["/usr"], "reason": "containers here run the node's own programs"}
_TIMING = (Path(__file__).parent / "default_timing.py").read_text()


def compare(rounds: int, *, load: float, tell: Callable[[str], None]) -> tuple[str, list[Row]]:
    """Measure; return a description and the rows."""
    with _nodes() as nodes:
        rows: dict[str, Row] = {}
        for kind in KINDS:  # not counted: the first time is slow
            _timed(nodes, kind)
        for number in range(rounds):
            tell(f"default, round {number + 1} of {rounds}")
            turn = number % len(KINDS)
            for kind in [*KINDS][turn:] + [*KINDS][:turn]:
                for what, took_ms in _timed(nodes, kind).items():
                    row = rows.setdefault(what, Row(what, {each: [] for each in KINDS}))
                    row.by_kind[kind] += took_ms
        docker = nodes["off"].shell("docker version --format '{{.Server.Version}}'")
    about = f"{measured_on(rounds, load)}; in the nodes Docker {docker}, runsc {RELEASE}."
    return about, list(rows.values())


def _timed(nodes: Mapping[str, BenchNode], kind: str) -> dict[str, list[float]]:
    stage, options = KINDS[kind]
    said = nodes[stage].shell('python3 -c "$@"', _TIMING, *options, *BOUND)
    took_ms: dict[str, list[float]] = json.loads(said)
    return took_ms


@contextmanager
def _nodes() -> Iterator[dict[str, BenchNode]]:
    lab = Lab(LAB_NAME)
    lab.down()
    try:
        made = dict(
            zip(STAGES, lab.up([NodeSpec(FLAVOURS["debian-13"])] * len(STAGES)), strict=True)
        )
        by_host: dict[str, dict[str, Any]] = {
            stage: {"gvisor_default": stage, "gvisor_seal": _SEAL}
            for stage in STAGES
            if stage != "off"
        }
        converge(made, by_host=by_host)
        for node in made.values():  # for its image
            start_container(node, "first", "--runtime=runsc")
            remove_container(node, "first")
        yield {stage: BenchNode(node) for stage, node in made.items()}
    finally:
        lab.down()
