"""
Measure the cost of each network stack.

nginx in a container answers another node through a published port: under runc, under runsc with the
node's network stack, and under runsc with gVisor's own.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from tests.bench.asides import start_sentence, started
from tests.bench.report import stacks_table
from tests.bench.results import interleaved, measured_on
from tests.bench.web import LARGE, SMALL, Answers, Pair, pair_of_nodes, wrk
from tests.node.names_nodes import KINDS
from tests.node.running import RELEASE

ROUNDS = 12  # a multiple of the number of runtimes: each starts the same number of rounds
TRIAL_S = 2


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


Trial = tuple[str, ...]
"""The file that the client requests, and its options."""

MANY: Trial = (SMALL, "--connections=32")
ONE: Trial = (SMALL, "--connections=1")
NEW: Trial = (SMALL, "--connections=32", "--header=Connection: close")
SOME: Trial = (LARGE, "--connections=8")
ROWS: tuple[tuple[str, Trial, Callable[[Answers, float], float], str], ...] = (
    ("1 KiB, 1000 a second", MANY, thousands_per_s, ".2f"),
    ("1 KiB, node CPU for 1000, ms", MANY, cpu_ms_per_thousand, ".0f"),
    ("1 KiB, one at a time, median, ms", ONE, lambda answers, _: answers.median_ms, ".3f"),
    ("1 KiB, one at a time, 99 %, ms", ONE, lambda answers, _: answers.p99_ms, ".3f"),
    ("1 KiB, new connections, 1000 a second", NEW, thousands_per_s, ".2f"),
    ("1 KiB, new connections, node CPU for 1000, ms", NEW, cpu_ms_per_thousand, ".0f"),
    ("1 MiB, Gbit/s", SOME, gbit_per_s, ".2f"),
    ("1 MiB, node CPU for 1 GB, s", SOME, cpu_s_per_gb, ".2f"),
)
"""The table: each row with its trial, its number and its form."""


def measured(rounds: int) -> str:
    """Measure; return a description, a table, and a sentence on the cost of a start."""
    about = measured_on(rounds)
    forms = {what: form for what, _, _, form in ROWS}
    with pair_of_nodes() as pair:
        pair.check()
        list(_round(pair, KINDS))  # not counted: the first time is slow
        table = stacks_table(interleaved(partial(_round, pair), KINDS, rounds, forms=forms))
        client = pair.client.versions("wrk").rpartition(", ")[2]
        about += f"; in the nodes {pair.run.versions('nginx')}, {client}, runsc {RELEASE}."
        return f"{about}\n\n{table}\n\n{start_sentence(started(pair.run))}"


def _round(pair: Pair, kinds: Sequence[str]) -> Iterator[tuple[str, str, float]]:
    """Run every trial with these runtimes in this order; yield row, runtime and number."""
    for trial in (MANY, ONE, NEW, SOME):
        for kind in kinds:
            command = wrk(pair.url(kind, trial[0]), *trial[1:], duration_s=TRIAL_S)
            answers, cpu_s = pair.answers(command)
            for what, of, number, _ in ROWS:
                if of is trial:
                    yield what, kind, number(answers, cpu_s)
