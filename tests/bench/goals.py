"""Goals of the bench, each with the measure that decides it."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.results import AUDIT, FLOOR, OURS, PIPELINING, PROOF, Results, channels, wall_s

LEFT_LEAST = 0.95
"""Goal: at least this share of a container's throughput is left with the firewall's rules."""

NAMES_MOST_MS = 5.0
"""Goal: Docker's names add less than so many milliseconds to a container's start."""

DEFAULT_START_MOST_MS = 40.0
DEFAULT_CALL_MOST_MS = 5.0
"""Goals: at most so much longer take a start and any other runtime call with ``gvisor_default``."""


@dataclass(frozen=True)
class Measure:
    """A number computed from the samples of each variant in ``needs``."""

    text: str
    needs: tuple[str, ...]
    of: Callable[..., float]
    form: str = ".2f"


@dataclass(frozen=True)
class Goal:
    """The range that a measure must be in, for a number of hosts."""

    hosts: int
    measure: Measure
    least: float = 0
    most: float = float("inf")

    def measured(self, results: Results) -> float | None:
        """Return the number; None if the runs that it needs were not made."""
        samples = [results.get((self.hosts, name)) for name in self.measure.needs]
        return self.measure.of(*samples) if all(samples) else None

    def reached(self, number: float) -> bool:
        """Return True if the number is in the range."""
        return self.least <= number <= self.most

    def __str__(self) -> str:
        limit = f"at least {self.least:g}" if self.least else f"at most {self.most:g}"
        return f"{self.measure.text}, {self.hosts} host{'s' * (self.hosts > 1)}: {limit}"


def ratio(what: str, by: str) -> Measure:
    """Return the measure: wall time of ``what``, divided by that of ``by``."""
    return Measure(f"{what} / {by}", (what, by), lambda one, other: wall_s(one) / wall_s(other))


def longer_s(what: str, than: str) -> Measure:
    """Return the measure: wall time of ``what`` minus that of ``than``, in seconds."""
    text = f"{what} minus {than}, seconds"
    return Measure(text, (what, than), lambda one, other: wall_s(one) - wall_s(other))


def most_channels(what: str) -> Measure:
    """Return the measure: the most exec channels for one host in any run of ``what``."""
    return Measure(f"{what}, channels a host", (what,), lambda one: max(channels(one)), form="g")


GOALS = (
    *(Goal(hosts, ratio(OURS, FLOOR), most=1.2) for hosts in (1, 10, 30)),
    Goal(1, ratio(PIPELINING, OURS), least=3),
    Goal(30, ratio(PIPELINING, OURS), least=12),
    *(Goal(hosts, most_channels(AUDIT), most=2) for hosts in (1, 10, 30)),
    Goal(1, longer_s(PROOF, OURS), most=10),
)
