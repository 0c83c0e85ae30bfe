"""Measure what ``gvisor_default`` costs: the same calls with the runtime asked for, and without."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.node import BenchNode, converge, new_nodes
from tests.bench.report import default_table
from tests.bench.results import interleaved, measured_on
from tests.node.containers import remove_container, start_container
from tests.node.running import RELEASE
from tools.lab import FLAVOURS, NodeSpec

ROUNDS = 20
STAGES = ("off", "sandbox", "sandbox-all")
KINDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "off, by name": ("off", ("--runtime=runsc",)),
    "by default": ("sandbox", ()),
    "by name": ("sandbox", ("--runtime=runsc",)),
    "asks for runc": ("sandbox-all", ("--runtime=runc",)),
}
"""What is compared: the stage of its node, and the options of ``docker run``."""
_SEAL = {"binds": ["/usr"], "reason": "containers here run the node's own programs"}
_TIMING = (Path(__file__).parent / "default_timing.py").read_text()


def measured(rounds: int) -> str:
    """Measure; return a description and a table."""
    about = measured_on(rounds)
    with new_nodes("default", *[NodeSpec(FLAVOURS["debian-13"])] * len(STAGES)) as made:
        nodes = dict(zip(STAGES, made, strict=True))
        by_host: dict[str, dict[str, Any]] = {
            stage: {"gvisor_default": stage, "gvisor_seal": _SEAL} for stage in STAGES[1:]
        }
        converge({stage: node.lab_node for stage, node in nodes.items()}, by_host=by_host)
        for node in made:  # for its image
            start_container(node.lab_node, "first", "--runtime=runsc")
            remove_container(node.lab_node, "first")

        def calls(kinds: Sequence[str]) -> Iterator[tuple[str, str, float]]:
            for kind in kinds:
                for what, took_ms in _timed(nodes, kind).items():
                    yield from ((what, kind, ms) for ms in took_ms)

        list(calls([*KINDS]))  # not counted: the first time is slow
        rows = interleaved(calls, [*KINDS], rounds)
        about += f"; in the nodes {made[0].versions()}, runsc {RELEASE}."
    return f"{about}\n\n{default_table(rows)}"


def _timed(nodes: Mapping[str, BenchNode], kind: str) -> dict[str, list[float]]:
    stage, options = KINDS[kind]
    said = nodes[stage].shell('python3 -c "$@"', _TIMING, *options, "-v", "/usr:/usr:ro")
    took_ms: dict[str, list[float]] = json.loads(said)
    return took_ms
