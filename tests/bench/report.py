"""The table that goes into README.md, and the goals beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.measure import BenchError, Run
from tests.bench.node import Cost

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"

OURS, FLOOR = "ours", "floor"
PIPELINING, NO_PIPELINING = "Ansible, pipelining", "Ansible, no pipelining"

Samples = list[tuple[Run, Cost]]
Results = Mapping[tuple[int, str], Samples]
"""What was measured, by number of hosts and name of variant, in the order it is shown in."""

_HEADER = (
    "hosts",
    "what",
    "wall s (min to max)",
    "times ours",
    "controller CPU s",
    "node CPU s",
    "channels a host",
)


@dataclass(frozen=True)
class Goal:
    """What the wall time of ``what``, divided by that of ``by``, is to be on that many hosts."""

    hosts: int
    what: str
    by: str
    least: float = 0
    most: float = float("inf")

    def reached(self, ratio: float) -> bool:
        """Whether that ratio is as good as it is to be."""
        return self.least <= ratio <= self.most

    def __str__(self) -> str:
        limit = f"at least {self.least:g}" if self.least else f"at most {self.most:g}"
        return f"{self.what} / {self.by}, {self.hosts} host{'s' * (self.hosts > 1)}: {limit}"


GOALS = (
    Goal(1, OURS, FLOOR, most=1.2),
    Goal(10, OURS, FLOOR, most=1.2),
    Goal(30, OURS, FLOOR, most=1.2),
    Goal(1, PIPELINING, OURS, least=3),
    Goal(30, PIPELINING, OURS, least=12),
)


def result_table(results: Results) -> str:
    """All results, a row for each number of hosts and variant."""
    return _markdown([_HEADER, *(_row(results, hosts, name) for hosts, name in results)])


def goal_table(results: Results) -> str:
    """The goals that were measured, and whether they are reached."""
    rows = [("goal", "measured", "")]
    for goal in GOALS:
        if (goal.hosts, goal.what) in results and (goal.hosts, goal.by) in results:
            ratio = _wall(results[goal.hosts, goal.what]) / _wall(results[goal.hosts, goal.by])
            rows.append((str(goal), f"{ratio:.2f}", "pass" if goal.reached(ratio) else "miss"))
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
        f"{median(walls):.2f} ({min(walls):.2f} to {max(walls):.2f})",
        f"{median(walls) / _wall(results[hosts, OURS]):.2f}",
        f"{median(run.cpu_s for run, _ in samples):.2f}",
        f"{median(cost.cpu_s for _, cost in samples):.2f}",
        _counted((cost.channels for _, cost in samples), hosts),
    )


def _wall(samples: Samples) -> float:
    return median(run.wall_s for run, _ in samples)


def _counted(counts: Iterable[int], hosts: int) -> str:
    """Counts a host: one number if all runs agree, as they should."""
    distinct = sorted({count / hosts for count in counts})
    ends = distinct if len(distinct) == 1 else (distinct[0], distinct[-1])
    return " to ".join(f"{count:g}" for count in ends)


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
