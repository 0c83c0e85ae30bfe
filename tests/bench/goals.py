"""What the bench is to show, each goal with the number that decides it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.results import (
    AUDIT,
    FLOOR,
    OURS,
    PIPELINING,
    PROOF,
    Results,
    channels,
    wall_s,
)

LEFT_LEAST = 0.95
"""The share of a container's throughput that the firewall's rules leave."""

STRICT_MOST = 1.5
"""How many times standard's the time of any work may be, for strict to be what is recommended."""


@dataclass(frozen=True)
class Measure:
    """A number got from results of the variants that it ``needs``, for a number of hosts."""

    text: str
    needs: tuple[str, ...]
    of: Callable[[Results, int], float]
    form: str = ".2f"


@dataclass(frozen=True)
class Goal:
    """What a measure is to be on that many hosts."""

    hosts: int
    measure: Measure
    least: float = 0
    most: float = float("inf")

    def measured(self, results: Results) -> float | None:
        """The number, or None if the runs that it needs were not made."""
        if any((self.hosts, name) not in results for name in self.measure.needs):
            return None
        return self.measure.of(results, self.hosts)

    def reached(self, number: float) -> bool:
        """Whether that number is as good as it is to be."""
        return self.least <= number <= self.most

    def __str__(self) -> str:
        limit = f"at least {self.least:g}" if self.least else f"at most {self.most:g}"
        return f"{self.measure.text}, {self.hosts} host{'s' * (self.hosts > 1)}: {limit}"


def ratio(what: str, by: str) -> Measure:
    """The wall time of ``what``, divided by that of ``by``."""
    return Measure(
        f"{what} / {by}",
        (what, by),
        lambda results, hosts: wall_s(results[hosts, what]) / wall_s(results[hosts, by]),
    )


def longer_s(what: str, than: str) -> Measure:
    """How many seconds ``what`` takes longer than ``than``."""
    return Measure(
        f"{what} minus {than}, seconds",
        (what, than),
        lambda results, hosts: wall_s(results[hosts, what]) - wall_s(results[hosts, than]),
    )


def most_channels(what: str) -> Measure:
    """How many exec channels a host a run of ``what`` opened at most."""
    return Measure(
        f"{what}, channels a host",
        (what,),
        lambda results, hosts: max(channels(results[hosts, what], hosts)),
        form="g",
    )


GOALS = (
    *(Goal(hosts, ratio(OURS, FLOOR), most=1.2) for hosts in (1, 10, 30)),
    Goal(1, ratio(PIPELINING, OURS), least=3),
    Goal(30, ratio(PIPELINING, OURS), least=12),
    *(Goal(hosts, most_channels(AUDIT), most=2) for hosts in (1, 10, 30)),
    Goal(1, longer_s(PROOF, OURS), most=10),
)
