"""Read what was measured, and judge it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median, quantiles
from typing import Final

from pyinfra_gvisor.base.errors import cut
from pyinfra_gvisor.costs.rows import KINDS, ROWS, SCALES, Row
from pyinfra_gvisor.proof.check import CONTROL
from pyinfra_gvisor.report.costs import Cost, CostOfKind, CostRow, Costs, Verdict

SLOWER, FASTER = 1.25, 0.8
"""Half of the rounds are beyond these."""
WIDEST: Final = 0.5
"""If half of runc's own values differ by more than this part of their median, no ratio is told."""
_ROUND: Final = "round"

Round = Mapping[str, Mapping[str, float]]
"""By runtime and row the value of a round."""


def costs(host: str, lines: Sequence[str], runtimes: Iterable[str]) -> Costs:
    """
    Return what ``measure.sh`` printed, judged.

    + lines: of the rounds, and why a runtime has none
    + runtimes: the names that are declared

    Raises ``ValueError`` if a line is malformed, or if there is no round.
    """
    rounds, failed = _read(lines)
    if not rounds:
        raise ValueError("no round ended")
    names = tuple(runtimes)
    rows = tuple(filter(None, (_row(row, rounds, names) for row in ROWS)))
    return Costs(
        host=host,
        rounds=len(rounds),
        runtimes=tuple(name for name in names if name not in failed),
        rows=rows,
        kinds=tuple(
            CostOfKind(kind=kind.name, does=kind.does, rows=kind.rows, todo=kind.todo)
            for kind in KINDS
        ),
        failed=failed,
    )


def _read(lines: Sequence[str]) -> tuple[list[Round], dict[str, str]]:
    rounds: list[Round] = []
    now: defaultdict[str, dict[str, float]] = defaultdict(dict)
    failed: dict[str, str] = {}
    for line in lines:
        if line == _ROUND:
            rounds.append({name: {**values} for name, values in now.items()})
            now.clear()
            continue
        runtime, row, value = line.split("\t")
        if row == "failed":
            failed[runtime] = cut(value, 300)
        else:
            now[runtime][row] = float(value)
    worked = {name for found in rounds for name in found}
    return rounds, {name: why for name, why in failed.items() if name not in worked}


def _row(row: Row, rounds: Sequence[Round], names: Iterable[str]) -> CostRow | None:
    """Return what was measured of a row; None if nothing was under runc."""
    runc = [found[CONTROL][row.id] for found in rounds if row.id in found.get(CONTROL, {})]
    if not runc:
        return None
    low, middle, high = _quartiles(runc)
    spread = (high - low) / middle if middle else 0.0
    told = (_cost(row, name, rounds, is_wide=spread > WIDEST) for name in names)
    return CostRow(
        id=row.id,
        title=row.title,
        unit=row.unit,
        runc=middle * SCALES[row.unit],
        spread=spread,
        costs=tuple(cost for cost in told if cost),
    )


def _cost(row: Row, name: str, rounds: Sequence[Round], *, is_wide: bool) -> Cost | None:
    pairs = [
        (found[name][row.id], found[CONTROL][row.id])
        for found in rounds
        if row.id in found.get(name, {}) and row.id in found.get(CONTROL, {})
    ]
    if not pairs:
        return None
    value = median(ours for ours, _ in pairs) * SCALES[row.unit]
    if row.is_added:
        return Cost(runtime=name, value=value, verdict="more")
    low, middle, high = _quartiles([ours / runc for ours, runc in pairs if runc])
    verdict: Verdict = (
        "slower" if low > SLOWER else "faster" if high < FASTER else "no clear difference"
    )
    if is_wide:
        return Cost(runtime=name, value=value, verdict=verdict)
    return Cost(runtime=name, value=value, times=middle, low=low, high=high, verdict=verdict)


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = quantiles(values, n=4, method="inclusive")
    return low, middle, high
