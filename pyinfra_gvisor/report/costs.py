"""What a sandbox costs on each host, told as ratios to runc."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, Self

from pydantic import Field

from pyinfra_gvisor.base.models import Strict
from pyinfra_gvisor.report.host_result import HostResult

_RUNC = 12  # columns of runc's value
_TITLE = 26


Verdict = Literal["slower", "faster", "no clear difference", "more"]


class Cost(Strict):
    """What something costs under a runtime. Medians of all rounds, and quartiles of the ratios."""

    runtime: str
    value: float = Field(description="In the unit of its row.")
    times: float | None = Field(
        None,
        description="How many times runc's value of the same round. `null`: runc has next to none, "
        "or its values differ too much among themselves.",
    )
    low: float | None = Field(None, description="The first quartile of it.")
    high: float | None = Field(None, description="The third one.")
    verdict: Verdict

    @property
    def told(self) -> str:
        """Return it in a few words."""
        if self.verdict == "more":
            return number(self.value)
        if self.times is None:
            return self.verdict if self.verdict in ("slower", "faster") else "?"
        low, middle, high = map(number, (self.low or 0.0, self.times, self.high or 0.0))
        return f"{middle} ({low}-{high})"


class CostRow(Strict):
    """Something that was measured."""

    id: str
    title: str
    unit: str
    runc: float = Field(description="The median under runc.")
    spread: float = Field(
        description="How much runc's values differ: the distance of their quartiles by the median."
    )
    costs: tuple[Cost, ...] = Field(description="Under each declared runtime that has it.")


class CostOfKind(Strict):
    """What that means for a kind of app."""

    kind: str
    does: str
    rows: tuple[str, ...] = Field(description="Ids of the rows that count for it.")
    todo: str


class Costs(HostResult):
    """What the same work takes under runc and under each declared runtime."""

    rounds: int
    runtimes: tuple[str, ...]
    rows: tuple[CostRow, ...]
    kinds: tuple[CostOfKind, ...]
    failed: dict[str, str] = Field(description="By runtime why nothing was measured.")

    @property
    def lines(self) -> Iterator[str]:
        """Yield a table, then what it means for apps."""
        yield f"{self.rounds} rounds. Below a runtime: times as long as runc (half of the rounds)"
        width = max([16, *(len(name) + 2 for name in self.runtimes)])
        heads = "".join(f"{name:<{width}}" for name in self.runtimes)
        yield f"{'':<{_TITLE}}{'runc':<{_RUNC}}{heads}".rstrip()
        for row in self.rows:
            of = {cost.runtime: cost.told for cost in row.costs}
            told = "".join(f"{of.get(name, '-'):<{width}}" for name in self.runtimes)
            runc = f"{number(row.runc)} {row.unit}"
            yield f"{row.title:<{_TITLE}}{runc:<{_RUNC}}{told}".rstrip()
        for name, why in self.failed.items():
            yield f"{name}: nothing was measured: {why}"
        yield from self._meaning()

    def _meaning(self) -> Iterator[str]:
        rows = {row.id: row for row in self.rows}
        for kind in self.kinds:
            known = [rows[key] for key in kind.rows if key in rows]
            if not known:
                continue
            told = "; ".join(f"{row.title} {self._slowest(row)}" for row in known)
            yield f"{kind.kind}: {kind.does}. {told}. {kind.todo}."

    def _slowest(self, row: CostRow) -> str:
        """Return how the runtimes do, in short."""
        of = {cost.runtime: cost for cost in row.costs}
        told = [of[name] for name in self.runtimes if name in of]
        texts = [cost.told if cost.times is None else number(cost.times) for cost in told]
        return " / ".join(texts)

    @classmethod
    def closing(cls, found: Sequence[Self]) -> Iterator[str]:
        """Yield what was left alone, and what else there is."""
        if not found:
            return
        costs = [cost for host in found for row in host.rows for cost in row.costs]
        if any(cost.times is None and cost.verdict != "more" for cost in costs):
            yield (
                "No number where runc itself differed too much from round to round: measure again "
                "when the node is less busy"
            )
        yield "Nothing is left on the nodes. next: measure with a load of your own, such as pgbench"


def number(value: float) -> str:
    """Return a number with two digits, or all of those before the point."""
    digits = 0 if value >= 10 else 1 if value >= 1 else 2  # noqa: PLR2004
    return f"{value:.{digits}f}"
