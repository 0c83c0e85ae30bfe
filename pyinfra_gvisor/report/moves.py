"""Where the apps of a host are after a move, and why some are not moved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Literal, Self

from pydantic import Field

from pyinfra_gvisor.base.columns import printable, some
from pyinfra_gvisor.base.models import Strict
from pyinfra_gvisor.report.host_result import HostResult

_NAMED: Final = 6


class Move(Strict):
    """
    An app, and where it is.

    ``moved``: the new container runs in gVisor, and does what the old one did. ``back``: it did
    not, and the old container runs again. ``left``: nothing was done. ``next``: it would be moved.
    """

    name: str
    app: str = Field("", description="The name of its app in Coolify; empty if it has none.")
    where: Literal["moved", "back", "left", "next"]
    why: str = ""
    gapless: bool = Field(False, description="The new one runs before the old one is stopped.")
    foretold_s: int = Field(
        0,
        description="Seconds for which it is away at most, if it works; if gapless, for which "
        "some requests may fail: it has no health check.",
    )
    away_s: float | None = Field(None, description="Seconds for which that was so.")
    told: tuple[str, ...] = Field((), description="Lines of its log, without secrets.")

    @property
    def title(self) -> str:
        """Return its name, and its app's if it has one."""
        return f"{printable(self.name)} of {printable(self.app)}" if self.app else self.name

    @property
    def gap(self) -> str:
        """Return for how long it is away."""
        return self._gap("may fail", f"at most {self.foretold_s} s")

    def _gap(self, fail: str, seconds: str) -> str:
        if self.gapless and not self.foretold_s:
            return "without a gap"
        return f"some requests {fail} for {seconds}" if self.gapless else f"away for {seconds}"

    @property
    def line(self) -> str:
        """Return it in one line."""
        if self.where == "moved":
            return f"moved   {self.title}: {self._gap('may have failed', f'{self.away_s:.1f} s')}"
        if self.where == "next":
            return f"next    {self.title}: {self.gap}"
        why = printable(self.why)
        return f"{self.where:<7} {self.title}: {why}"


class Moves(HostResult):
    """The apps of a host that a move is about."""

    moves: tuple[Move, ...]
    stopped: bool = Field(False, description="So many went back that the others were not begun.")

    @property
    def to_do(self) -> bool:
        """Return True if an app would be moved."""
        return any(item.where == "next" for item in self.moves)

    @property
    def lines(self) -> Iterator[str]:
        """Yield a line for each app, with the last lines of those that went back."""
        if not self.moves:
            yield "every container of this node runs in gVisor, or is accepted for runc"
        for item in self.moves:
            yield item.line
            yield from (f"        {printable(text)}" for text in item.told)
        if self.stopped:
            yield "stopped: the others were not begun"

    @classmethod
    def closing(cls, found: Sequence[Self]) -> Iterator[str]:
        """Yield a summary, and what to do next."""
        every = [item for host in found for item in host.moves]
        if not every:
            return
        words = {"moved": "moved", "back": "went back", "left": "left as they are", "next": "next"}
        counts = ((sum(item.where == key for item in every), text) for key, text in words.items())
        yield f"Summary: {', '.join(f'{count} {text}' for count, text in counts if count)}"
        if back := [item.title for item in every if item.where == "back"]:
            yield (
                f"next: pyinfra-gvisor try, then change these or accept them: {some(back, _NAMED)}"
            )
        elif any(item.where == "next" for item in every):
            yield "next: the same without --dry"
        else:
            yield "next: pyinfra-gvisor audit"
