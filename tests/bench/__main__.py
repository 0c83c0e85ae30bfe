"""
Run the benchmarks and write the results to README.md.

Measures runs with nothing to do (ours, the floor, Ansible), the audit, the proof, and the cost of
the firewall, of each network stack, of strict hardening, and of gVisor as the default.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from compileall import compile_dir
from pathlib import Path
from typing import NoReturn

from pyinfra_gvisor.base.errors import Problem
from tests.bench import default, hardening, stacks, throughput
from tests.bench.ansible_core import ensure_ansible
from tests.bench.asides import asides_sentence
from tests.bench.machine import describe
from tests.bench.measure import BenchError, Run, adopt_orphans, run
from tests.bench.node import Cost, bench_node
from tests.bench.report import (
    default_table,
    goal_table,
    hardening_table,
    proof_sentence,
    result_table,
    rules_table,
    stacks_table,
    start_sentence,
    write_between_markers,
)
from tests.bench.results import Samples
from tests.bench.variants import BENCH, PARALLEL, ROOT, Variant, Workshop
from tools.lab.cache import Cache

RUNS, RULES, STACKS, HARDENING, DEFAULT = "bench", "rules", "stacks", "hardening", "default"
"""The parts of README.md that are written, each between its own markers."""

LOAD_MAX = 0.5
"""Above this load other processes disturb the measurement on two cores."""


def main() -> int:
    """Measure, print and write; return 0 even if goals are missed, 1 after an error."""
    arguments = _arguments()
    adopt_orphans()
    signal.signal(signal.SIGTERM, _stop)
    cache = Cache.of(os.environ)
    try:
        with cache.lock("bench"):
            if RUNS in arguments.part:
                _bench(cache.root / "bench", arguments.hosts, arguments.runs, arguments.readme)
            if RULES in arguments.part:
                _compare_rules(max(arguments.runs, throughput.ROUNDS), arguments.readme)
            if STACKS in arguments.part:
                _compare_stacks(max(arguments.runs, stacks.ROUNDS), arguments.readme)
            if HARDENING in arguments.part:
                _compare_hardening(max(arguments.runs, hardening.ROUNDS), arguments.readme)
            if DEFAULT in arguments.part:
                _compare_default(max(arguments.runs, default.ROUNDS), arguments.readme)
    except Problem as problem:
        sys.stderr.write(f"bench: {problem}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _stop(number: int, _frame: object) -> NoReturn:
    """Raise an error on SIGTERM, so that the node is removed."""
    raise BenchError(f"ended by {signal.Signals(number).name}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--runs", type=_runs, default=3, help="rounds, at least 3")
    parser.add_argument("--hosts", type=_hosts, default=[1, 10, 30], help="such as 1,10,30")
    parts = (RUNS, RULES, STACKS, HARDENING, DEFAULT)
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


def _bench(kept: Path, hosts: list[int], runs: int, readme: Path) -> None:
    load = _load()
    for name in ("pyinfra_gvisor", "facts", "operations", "run_support", "deploys"):
        compile_dir(ROOT / name, quiet=1)  # as pip does; a clone's first run would do it
    ansible = ensure_ansible(kept, tell=_tell)
    with bench_node() as node, tempfile.TemporaryDirectory() as work:
        workshop = Workshop(node, ansible, Path(work))
        _tell("converging the node")
        _once(workshop.ours, 1)
        for variant in workshop.variants():  # not counted: fills the caches of both sides
            _measured(workshop, variant, 1)
        results: dict[tuple[int, str], Samples] = {}
        for number in hosts:
            results |= _interleaved(workshop, number, runs)
        about = describe(node, ansible, runs=runs, load=load)
    tables = (result_table(results), goal_table(results), proof_sentence(results))
    _publish(readme, RUNS, about, *filter(None, tables))


def _compare_rules(rounds: int, readme: Path) -> None:
    about, results = throughput.compare(rounds, load=_load(), tell=_tell)
    _publish(readme, RULES, about, rules_table(results))


def _compare_stacks(rounds: int, readme: Path) -> None:
    about, results, start, besides = stacks.compare(rounds, load=_load(), tell=_tell)
    said = (start_sentence(start), asides_sentence(besides))
    _publish(readme, STACKS, about, stacks_table(results), *said)


def _compare_hardening(rounds: int, readme: Path) -> None:
    about, results = hardening.compare(rounds, load=_load(), tell=_tell)
    _publish(readme, HARDENING, about, hardening_table(results, hardening.PAIRS))


def _compare_default(rounds: int, readme: Path) -> None:
    about, results = default.compare(rounds, load=_load(), tell=_tell)
    _publish(readme, DEFAULT, about, default_table(results))


def _publish(readme: Path, part: str, *texts: str) -> None:
    text = "\n\n".join(texts)
    print(text)
    write_between_markers(readme, part, text)


def _load() -> float:
    load = os.getloadavg()[0]
    if load > LOAD_MAX:
        _tell(f"the machine is busy (load {load:.1f}): compare rows of a table, not seconds")
    return load


def _interleaved(workshop: Workshop, hosts: int, runs: int) -> dict[tuple[int, str], Samples]:
    """Run A B C A B A B, A B C …: other load on this machine then affects all variants alike."""
    variants = [variant for variant in workshop.variants() if hosts <= variant.hosts_max]
    samples: dict[tuple[int, str], Samples] = {(hosts, variant.name): [] for variant in variants}
    for number in range(1, runs + 1):
        _tell(f"{hosts} host(s), round {number} of {runs}")
        for turn in range(max(variant.times for variant in variants)):
            for variant in variants:
                if turn < variant.times:
                    samples[hosts, variant.name].append(_measured(workshop, variant, hosts))
    return samples


def _measured(workshop: Workshop, variant: Variant, hosts: int) -> tuple[Run, Cost]:
    mark = workshop.node.mark()
    done = _once(variant, hosts)
    variant.check(done.output, hosts)
    cost = workshop.node.since(mark)
    if cost.connections != hosts:
        raise BenchError(f"{variant.name}: {cost.connections} connections for {hosts} hosts")
    return done, cost


def _once(variant: Variant, hosts: int) -> Run:
    return run(variant.command(hosts), cwd=ROOT, environment=variant.environment(hosts))


def _tell(line: str) -> None:
    sys.stderr.write(f"bench: {line}\n")
    sys.stderr.flush()


sys.exit(main())
