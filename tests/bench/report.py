"""The table that goes into README.md, and the goals beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.measure import BenchError, Run
from tests.bench.node import Cost

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"

Samples = list[tuple[Run, Cost]]
Results = Mapping[tuple[int, str], Samples]
"""What was measured, by number of hosts and name of variant, in the order it is shown in."""

_HEADER = (
    "hosts",
    "what",
    "wall s (min–max)",
    "× ours",
    "controller CPU s",
    "node CPU s",
    "channels a host",
)


@dataclass(frozen=True)
class Goal:
    """A ratio of two medians of wall time that we want to be above or below a number."""

    text: str
    hosts: int
    over: str
    under: str
    reached: Callable[[float], bool]


GOALS = (
    *(
        Goal(
            f"ours ≤ 1.2 × floor, {hosts} hosts", hosts, "ours", "floor", lambda ratio: ratio <= 1.2
        )
        for hosts in (1, 10, 30)
    ),
    Goal(
        "≥ 3 × faster than Ansible with pipelining, 1 host",
        1,
        "ansible, pipelining",
        "ours",
        lambda ratio: ratio >= 3,
    ),
    Goal(
        "≥ 12 × faster than Ansible with pipelining, 30 hosts",
        30,
        "ansible, pipelining",
        "ours",
        lambda ratio: ratio >= 12,
    ),
)


def result_table(results: Results) -> str:
    """All results, a row for each number of hosts and variant."""
    rows = [_row(results, hosts, name) for hosts, name in results]
    return _markdown([_HEADER, *rows])


def goal_table(results: Results) -> str:
    """The goals that were measured, and whether they are reached."""
    rows = [("goal", "measured", "")]
    for goal in GOALS:
        over, under = ((goal.hosts, name) for name in (goal.over, goal.under))
        if over in results and under in results:
            ratio = _wall(results[over]) / _wall(results[under])
            rows.append((goal.text, f"{ratio:.2f}", "pass" if goal.reached(ratio) else "miss"))
    return _markdown(rows)


def write_between_markers(path: Path, text: str) -> None:
    """Replace what is between the markers in a file. Raises ``BenchError`` if they are missing."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise BenchError(f"{path}: no {BEGIN} with {END} behind it")
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def _row(results: Results, hosts: int, name: str) -> tuple[str, ...]:
    samples = results[hosts, name]
    walls = [run.wall_s for run, _ in samples]
    return (
        str(hosts),
        name,
        f"{median(walls):.2f} ({min(walls):.2f}–{max(walls):.2f})",
        f"{_wall(samples) / _wall(results[hosts, 'ours']):.2f}",
        f"{median(run.cpu_s for run, _ in samples):.2f}",
        f"{median(cost.cpu_s for _, cost in samples):.2f}",
        _counted((cost.channels for _, cost in samples), hosts),
    )


def _wall(samples: Samples) -> float:
    return median(run.wall_s for run, _ in samples)


def _counted(counts: Iterable[int], hosts: int) -> str:
    """Counts a host: one number if all runs agree, as they should."""
    distinct = sorted({count / hosts for count in counts})
    return " to ".join(f"{count:g}" for count in (distinct[0], distinct[-1])[: len(distinct)])


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
