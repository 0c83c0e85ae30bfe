"""
Run the benchmarks and write the results to README.md.

Measures runs with nothing to do (ours, the floor, Ansible), the audit, the proof, and the cost of
the firewall, of each network stack, of single operations, of real programs, of gVisor as the
default, and of a rollout over many hosts.
"""

import argparse
import os
import platform
import signal
import sys
import tempfile
from compileall import compile_dir
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from pyinfra_gvisor.base.errors import Problem
from tests.bench import costs, default, programs, scale, stacks, throughput
from tests.bench.ansible_core import ansible_version, ensure_ansible
from tests.bench.measure import RUN_TIMEOUT_S, BenchError, Run, adopt_orphans, run, tell
from tests.bench.node import Cost, bench_node
from tests.bench.report import goal_table, proof_sentence, result_table, write_between_markers
from tests.bench.results import Samples, measured_on
from tests.bench.variants import BENCH, PARALLEL, ROOT, Variant, Workshop
from tools.lab.cache import Cache

RUNS = "bench"
COMPARED = {
    "rules": (throughput.measured, throughput.ROUNDS),
    "stacks": (stacks.measured, stacks.ROUNDS),
    "costs": (costs.measured, costs.ROUNDS),
    "programs": (programs.measured, programs.ROUNDS),
    "default": (default.measured, default.ROUNDS),
    "scale": (scale.measured, scale.ROUNDS),
}
"""The parts of README.md that are written, each between its own markers; with their rounds."""


def main() -> int:
    """Measure, print and write; return 0 even if goals are missed, 1 after an error."""
    arguments = _arguments()
    adopt_orphans()
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, _stop)
    cache = Cache.of(os.environ)
    try:
        with cache.lock("bench"):
            for part in arguments.part:
                if part == RUNS:
                    text = _bench(cache.root / "bench", arguments.hosts, arguments.runs)
                else:
                    measured, rounds = COMPARED[part]
                    text = measured(max(arguments.runs, rounds))
                print(text)
                write_between_markers(arguments.readme, part, text)
    except Problem as problem:
        sys.stderr.write(f"bench: {problem}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _stop(number: int, _frame: object) -> NoReturn:
    """Raise an error on a signal, so that the node is removed."""
    name = signal.Signals(number).name
    raise BenchError(f"ended by {name}; SIGALRM means: no end within {RUN_TIMEOUT_S} s")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--runs", type=_runs, default=3, help="rounds, at least 3")
    parser.add_argument("--hosts", type=_hosts, default=[1, 10, 30], help="such as 1,10,30")
    parts = (RUNS, *COMPARED)
    parser.add_argument("--part", choices=parts, nargs="+", default=parts, help="what to measure")
    parser.add_argument("--readme", type=Path, default=BENCH / "README.md", help="what to write to")
    return parser.parse_args()


def _runs(text: str) -> int:
    if (runs := int(text)) < 3:
        raise ValueError
    return runs


def _hosts(text: str) -> list[int]:
    hosts = [int(number) for number in text.split(",")]
    if not all(1 <= number <= PARALLEL for number in hosts):
        raise ValueError
    return hosts


def _bench(kept: Path, hosts: list[int], runs: int) -> str:
    about = measured_on(runs)
    for name in ("pyinfra_gvisor", "facts", "operations", "run_support", "deploys"):
        compile_dir(ROOT / name, quiet=1)  # as pip does; a clone's first run would do it
    ansible = ensure_ansible(kept)
    with bench_node() as node, tempfile.TemporaryDirectory() as work:
        workshop = Workshop(node, ansible, Path(work))
        tell("converging the node")
        _once(workshop.ours, 1)
        for variant in workshop.variants():  # not counted: fills the caches of both sides
            _measured(workshop, variant, 1)
        results: dict[tuple[int, str], Samples] = {}
        for number in hosts:
            results |= _interleaved(workshop, number, runs)
        about += (
            f", Python {platform.python_version()}, pyinfra {version('pyinfra')}, ansible-core "
            f"{ansible_version(ansible)}; in the node {node.versions('openssh-server')}."
        )
    tables = (result_table(results), goal_table(results), proof_sentence(results))
    return "\n\n".join(filter(None, (about, *tables)))


def _interleaved(workshop: Workshop, hosts: int, runs: int) -> dict[tuple[int, str], Samples]:
    """Run A B C A B A B, A B C …: other load on this machine then affects all variants alike."""
    variants = [variant for variant in workshop.variants() if hosts <= variant.hosts_max]
    samples: dict[tuple[int, str], Samples] = {(hosts, variant.name): [] for variant in variants}
    for number in range(1, runs + 1):
        tell(f"{hosts} host(s), round {number} of {runs}")
        for turn in range(max(variant.times for variant in variants)):
            for variant in variants:
                if turn < variant.times:
                    samples[hosts, variant.name].append(_measured(workshop, variant, hosts))
    return samples


def _measured(workshop: Workshop, variant: Variant, hosts: int) -> tuple[Run, Cost]:
    done, cost = workshop.node.costs(lambda: _once(variant, hosts), hosts)
    variant.check(done.output, hosts)
    return done, cost


def _once(variant: Variant, hosts: int) -> Run:
    return run(variant.command(hosts), cwd=ROOT, environment=variant.environment(hosts))


sys.exit(main())
