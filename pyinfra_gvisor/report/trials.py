"""How a trial of a container ended, with its cause and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, Self

from pydantic import Field

from pyinfra_gvisor.base.columns import printable, some
from pyinfra_gvisor.base.models import Strict
from pyinfra_gvisor.report.host_result import HostResult
from pyinfra_gvisor.report.outlooks import AppDifference

_SEEN = 3  # things that were seen of the app, for a rule

Verdict = Literal["works alone", "works, but differs", "fails here", "not known"]


class Ran(Strict):
    """What was seen of the twin or of the control."""

    runtime: str
    problem: str = Field("", description="Why it did not start, in Docker's words; empty: it did.")
    running: bool = Field(False, description="It still ran at the end.")
    ran_s: float | None = Field(None, description="Seconds from its start to its end, or the last.")
    exit_code: int | None = None
    out_of_memory: bool = False
    health: str | None = Field(None, description="Its health check; `null`: it has none.")
    ready_s: float | None = Field(None, description="Seconds until it listened on a TCP port.")
    ports: tuple[int, ...] = Field((), description="TCP ports on which it listened.")

    @property
    def told(self) -> str:
        """Return it in a few words."""
        if self.problem:
            return f"did not start: {printable(self.problem)}"
        told = [self.end]
        if self.ports:
            ready = f" after {self.ready_s:.1f} s" if self.ready_s is not None else ""
            told.append(f"listened on {', '.join(map(str, self.ports))}{ready}")
        if self.health is not None:
            told.append(f"health {printable(self.health)}")
        return ", ".join(told)

    @property
    def end(self) -> str:
        """Return how it ended."""
        if self.running:
            return "ran to the end"
        memory = ", out of memory" if self.out_of_memory else ""
        after = f" after {self.ran_s:.1f} s" if self.ran_s is not None else ""
        return f"ended with code {self.exit_code}{after}{memory}"


class Trial(HostResult):
    """The trial of a container: a twin under its declared runtime, and a control under runc."""

    container: str
    app: str = Field("", description="The name of its app in Coolify; empty if it has none.")
    image: str
    runtime: str = Field(description="The runtime of the twin.")
    seconds: int = Field(description="How long each ran, if it did not end by itself.")
    verdict: Verdict
    why: tuple[str, ...] = Field((), description="What differs, or the cause.")
    todo: tuple[str, ...] = ()
    unknown: str = Field(
        "", description="Why it is not known what Docker would refuse; empty if it is."
    )
    accepted: bool = Field(False, description="It is accepted for runc, so no move changes it.")
    twin: Ran
    control: Ran | None = Field(description="`null`: there was none.")
    news: tuple[str, ...] = Field(
        (), description="New kinds of error lines of the twin, without secrets and numbers."
    )
    left_out: tuple[str, ...] = Field((), description="What neither of them had.")
    control_without: tuple[str, ...] = Field((), description="What only the twin had.")
    empty: tuple[str, ...] = Field((), description="Where they had new volumes.")
    rules: tuple[AppDifference, ...] = Field(
        (), description="What rules say of the container, whatever the trial showed."
    )

    @property
    def lines(self) -> Iterator[str]:
        """Yield the verdict, then what was seen."""
        name = f"{self.container} of {self.app}" if self.app else self.container
        yield f"{printable(name)} in gVisor (runtime {self.runtime}): {self.told}"
        yield from (f"    {printable(text)}" for text in self.why)
        yield from (f"    to do: {printable(text)}" for text in self.todo)
        if self.unknown:
            yield f"UNKNOWN what Docker would refuse: {printable(self.unknown)}"
        if self.accepted:
            yield "accepted for runc: a move leaves it there"
        yield f"twin: {self.twin.told}"
        yield f"control under runc: {self.control.told if self.control else 'none'}"
        log = "new in its log" if self.control else "in its log"
        yield from (f"{log}: {printable(text)}" for text in self.news)
        for title, texts in (
            ("left out", self.left_out),
            ("left out of the control only", self.control_without),
            ("new, empty or filled by the image", self.empty),
        ):
            if texts:
                yield f"{title}: {printable('; '.join(texts))}"
        yield from self._rules()

    def _rules(self) -> Iterator[str]:
        """Yield what rules say, a line each: alone, a twin does not meet all of it."""
        seen: dict[tuple[str, str, str], list[str]] = {}
        for item in self.rules:
            seen.setdefault((item.outlook, item.rule, item.what), []).append(item.seen)
        for (outlook, rule, what), texts in seen.items():
            yield f"rule {rule}: {outlook}: {what} ({printable(some(texts, _SEEN))})"

    @property
    def told(self) -> str:
        """Return the verdict with the seconds."""
        return (
            f"works alone for {self.seconds} s" if self.verdict == "works alone" else self.verdict
        )

    @classmethod
    def closing(cls, found: Sequence[Self]) -> Iterator[str]:
        """Yield what a trial does not show."""
        if found:
            yield (
                "A trial has none of the app's volumes, no other containers and no users. The "
                "copies are removed. next: pyinfra-gvisor apps"
            )
