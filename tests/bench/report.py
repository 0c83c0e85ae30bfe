"""Render measured results as tables and sentences for README.md."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

from tests.bench.goals import (
    DEFAULT_CALL_MOST_MS,
    DEFAULT_START_MOST_MS,
    GOALS,
    LEFT_LEAST,
    longer_s,
)
from tests.bench.measure import BenchError
from tests.bench.outputs import checks
from tests.bench.results import FLOOR, OURS, PROOF, Results, Row, channels, wall_s

_HEADER = (
    *("hosts", "what", "wall s (min to max)", "times ours", "times floor"),
    *("controller CPU s", "node CPU s", "channels a host"),
)

_RUNTIME_CALLS = {"docker kill": 2}  # kill, and delete when the container has ended


def verdict(reached: bool) -> str:
    """Return the word for a goal."""
    return "pass" if reached else "miss"


def result_table(results: Results) -> str:
    """Return a table of all results, with a row for each number of hosts and variant."""
    return markdown([_HEADER, *(_row(results, hosts, name) for hosts, name in results)])


def goal_table(results: Results) -> str:
    """Return a table of the measured goals and whether they are reached."""
    rows = [("goal", "measured", "")]
    for goal in GOALS:
        if (number := goal.measured(results)) is not None:
            cells = (str(goal), format(number, goal.measure.form), verdict(goal.reached(number)))
            rows.append(cells)
    return markdown(rows)


def proof_sentence(results: Results) -> str:
    """Return a sentence on what a proof adds to a run; empty if it was not measured."""
    if (1, PROOF) not in results:
        return ""
    proof, ours = results[1, PROOF], results[1, OURS]
    words = [[word for _, word in checks(run.output)] for run, _ in proof]
    more = median(channels(proof)) - median(channels(ours))
    return (
        f"The proof makes {_range(column.count('ok') for column in words)} checks, each under the "
        f"runtime and under runc; not applicable on this node: "
        f"{_range(column.count('n/a') for column in words)}. To a run of ours it adds "
        f"{longer_s(PROOF, OURS).of(proof, ours):.2f} s and {more:g} channels."
    )


def rules_table(results: Iterable[Row]) -> str:
    """Return a table of containers' throughput with and without the rules; TCP has a goal."""
    rows = [("what", "without (min to max)", "through (min to max)", "left", "goal", "")]
    for item in results:
        left = item.times("through", "without")
        sides = (spread(item.by_kind["without"]), spread(item.by_kind["through"]))
        goal = (f"at least {LEFT_LEAST}", verdict(left >= LEFT_LEAST))
        goal = goal if "TCP" in item.what else ("", "")
        rows.append((item.what, *sides, f"{left:.2f}", *goal))
    return markdown(rows)


def stacks_table(results: Iterable[Row]) -> str:
    """Return a table that compares the network stacks."""
    columns = {"runc": "runc", "runsc": "`network: host`", "gvisor": "`network: sandbox`"}
    header = [f"{name} (min to max)" for name in columns.values()]
    rows = [("what", *header, "host / runc", "sandbox / runc", "sandbox / host")]
    for item in results:
        spreads = (spread(item.by_kind[kind], item.form) for kind in columns)
        pairs = (("runsc", "runc"), ("gvisor", "runc"), ("gvisor", "runsc"))
        rows.append((item.what, *spreads, *(f"{item.times(*pair):.2f}" for pair in pairs)))
    return markdown(rows)


def default_table(results: Sequence[Row]) -> str:
    """Return a table of what calls of Docker cost, and how much more than by name without it."""
    first, *others = results[0].by_kind
    more = [f"{kind}: more, ms" for kind in others]
    rows = [("call", *(f"{kind}, ms" for kind in (first, *others)), *more, "goal", "")]
    for item in results:
        most = DEFAULT_CALL_MOST_MS * _RUNTIME_CALLS.get(item.what, 1)
        if item.what == "docker run":
            most = DEFAULT_START_MOST_MS
        longer = [item.more(kind, first) for kind in others]
        middles = (f"{median(numbers):.1f}" for numbers in item.by_kind.values())
        goal = (f"at most {most:g}", verdict(max(longer) <= most))
        rows.append((f"`{item.what}`", *middles, *(f"{ms:.1f}" for ms in longer), *goal))
    return markdown(rows)


def programs_table(results: Iterable[Row], kinds: Sequence[str]) -> str:
    """Return a table of what programs do under each runtime, and the ratio to the first one."""
    first, *others = kinds
    ratios = [f"`{kind}` / {first}" for kind in others]
    rows = [("what", *(f"{kind} (min to max)" for kind in kinds), *ratios)]
    for item in results:
        spreads = (spread(item.by_kind[kind], item.form) for kind in kinds)
        times = (f"{item.times(kind, first):.2f}" for kind in others)
        rows.append((item.what, *spreads, *times))
    return markdown(rows)


def write_between_markers(path: Path, part: str, text: str) -> None:
    """Replace the text between a part's markers. Raises ``BenchError`` if they are missing."""
    opening, closing = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
    before, begin, rest = path.read_text(encoding="utf-8").partition(opening)
    _, end, after = rest.partition(closing)
    if not begin or not end:
        raise BenchError(f"{path}: expected {opening} and {closing} after it")
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def _row(results: Results, hosts: int, name: str) -> tuple[str, ...]:
    samples = results[hosts, name]
    walls = [run.wall_s for run, _ in samples]
    return (
        str(hosts),
        name,
        spread(walls),
        f"{median(walls) / wall_s(results[hosts, OURS]):.2f}",
        f"{median(walls) / wall_s(results[hosts, FLOOR]):.2f}",
        f"{median(run.cpu_s for run, _ in samples):.2f}",
        f"{median(cost.cpu_s for _, cost in samples):.2f}",
        _range(channels(samples)),
    )


def spread(numbers: Sequence[float], form: str = ".2f") -> str:
    """Return the median, with the lowest and the highest number."""
    shown = (median(numbers), min(numbers), max(numbers))
    middle, least, most = (format(number, form) for number in shown)
    return f"{middle} ({least} to {most})"


def _range(counts: Iterable[float]) -> str:
    """Return one number if all runs agree, else the lowest and the highest."""
    distinct = sorted(set(counts))
    ends = distinct if len(distinct) == 1 else (distinct[0], distinct[-1])
    return " to ".join(f"{count:g}" for count in ends)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return a table; its first row is the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
