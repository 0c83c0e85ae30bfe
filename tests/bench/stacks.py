"""
Measure the cost of each network stack.

nginx in a container answers another node through a published port: under runc, under runsc with the
node's network stack, and under runsc with gVisor's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.bench import wrk
from tests.bench.asides import Asides, asides
from tests.bench.machine import measured_on
from tests.bench.results import Row
from tests.bench.start import started
from tests.bench.web import LARGE, SMALL, Pair, pair_of_nodes
from tests.bench.wrk import Answers
from tests.node.names_nodes import KINDS
from tests.node.running import RELEASE

ROUNDS = 12  # a multiple of the number of runtimes: each starts the same number of rounds
TRIAL_S = 2


@dataclass(frozen=True)
class Taken:
    """
    One number of a trial, and the name of its row.

    ``number`` computes it from the answers and the run node's processor time in seconds.
    """

    what: str
    number: Callable[[Answers, float], float]
    form: str = ".2f"


@dataclass(frozen=True)
class Trial:
    """What the client requests, its options, and the numbers to compute."""

    file: str
    options: tuple[str, ...]
    takes: tuple[Taken, ...]


def trials() -> list[Trial]:
    """Return the trials, in the order of the table."""
    many, one, some = (f"--connections={number}" for number in (32, 1, 8))
    small = (
        Taken("1 KiB, 1000 a second", thousands_per_s),
        Taken("1 KiB, node CPU for 1000, ms", cpu_ms_per_thousand, ".0f"),
    )
    single = (
        Taken("1 KiB, one at a time, median, ms", lambda answers, _: answers.median_ms, ".3f"),
        Taken("1 KiB, one at a time, 99 %, ms", lambda answers, _: answers.p99_ms, ".3f"),
    )
    new = (
        Taken("1 KiB, new connections, 1000 a second", thousands_per_s),
        Taken("1 KiB, new connections, node CPU for 1000, ms", cpu_ms_per_thousand, ".0f"),
    )
    large = (Taken("1 MiB, Gbit/s", gbit_per_s), Taken("1 MiB, node CPU for 1 GB, s", cpu_s_per_gb))
    return [
        Trial(SMALL, (many,), small),
        Trial(SMALL, (one,), single),
        Trial(SMALL, (many, "--header=Connection: close"), new),
        Trial(LARGE, (some,), large),
    ]


def compare(
    rounds: int, *, load: float, tell: Callable[[str], None]
) -> tuple[str, list[Row], Row, Asides]:
    """Measure; return a description, the rows, the times of a start, and further costs."""
    rows = {
        taken.what: Row(taken.what, {kind: [] for kind in KINDS}, taken.form)
        for trial in trials()
        for taken in trial.takes
    }
    with pair_of_nodes() as pair:
        pair.check()
        list(_round(pair, KINDS))  # not counted: the first time is slow
        for number in range(rounds):
            tell(f"stacks, round {number + 1} of {rounds}")
            turn = number % len(KINDS)
            for what, kind, measured in _round(pair, KINDS[turn:] + KINDS[:turn]):
                rows[what].by_kind[kind].append(measured)
        about, start, besides = _describe(pair, rounds, load), started(pair.run), asides(pair)
    return about, list(rows.values()), start, besides


def thousands_per_s(answers: Answers, _: float) -> float:
    """Return thousands of answers a second."""
    return answers.number / answers.took_s / 1e3


def cpu_ms_per_thousand(answers: Answers, cpu_s: float) -> float:
    """Return milliseconds of processor time for 1000 answers."""
    return cpu_s * 1e6 / answers.number


def gbit_per_s(answers: Answers, _: float) -> float:
    """Return gigabits received a second."""
    return answers.size_bytes * 8 / answers.took_s / 1e9


def cpu_s_per_gb(answers: Answers, cpu_s: float) -> float:
    """Return seconds of processor time for 10⁹ bytes."""
    return cpu_s * 1e9 / answers.size_bytes


def _round(pair: Pair, kinds: tuple[str, ...]) -> Iterator[tuple[str, str, float]]:
    """Run every trial with these runtimes in this order; yield row, runtime and number."""
    for trial in trials():
        for kind in kinds:
            command = wrk.command(pair.url(kind, trial.file), *trial.options, duration_s=TRIAL_S)
            answers, cpu_s = pair.answers(kind, command)
            for taken in trial.takes:
                yield taken.what, kind, taken.number(answers, cpu_s)


def _describe(pair: Pair, rounds: int, load: float) -> str:
    docker = pair.run.shell("docker version --format '{{.Server.Version}}'")
    nginx, client = pair.run.version("nginx"), pair.client.version("wrk")
    return (
        f"{measured_on(rounds, load)}; in the nodes Docker {docker}, nginx {nginx}, wrk {client}, "
        f"runsc {RELEASE}."
    )
