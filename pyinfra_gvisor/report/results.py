"""What commands that only look found, a document for each host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from pydantic import Field

from pyinfra_gvisor.base.models import Strict
from pyinfra_gvisor.node.changes import Change
from pyinfra_gvisor.report.costs import Costs
from pyinfra_gvisor.report.host_result import HostResult
from pyinfra_gvisor.report.moves import Moves
from pyinfra_gvisor.report.outlooks import AppOutlooks
from pyinfra_gvisor.report.trials import Trial

VERSION: Final = 1  # of the documents' form; raised when a reader of the old form would fail


class Examined(HostResult):
    """The doctor's look at a host."""

    about: dict[str, str] = Field(description="What the node is, by subject, such as `Docker`.")
    notes: tuple[str, ...] = Field((), description="What to know before a deploy.")
    refused: tuple[str, ...] = Field((), description="Why a deploy would refuse this host.")

    @property
    def lines(self) -> Iterator[str]:
        """Yield the result for people."""
        yield from (f"{subject:<11} {text}" for subject, text in self.about.items())
        yield from (f"{'note':<11} {text}" for text in self.notes)
        yield from (f"{'refused':<11} {text}" for text in self.refused)
        if not self.refused:
            yield f"{'ready':<11} a deploy would not refuse this node"


class KeptGeneration(Strict):
    """One state of daemon.json that a node can be rolled back to."""

    number: int
    story: str = Field(description="Until when the node had it, and with which releases.")
    releases: tuple[str, ...] = Field(description="The releases that its runtimes started.")
    unusable: str = Field("", description="Why it cannot be used; empty if it can.")


class KeptGenerations(HostResult):
    """What a host can be rolled back to, and who changed the host."""

    generations: tuple[KeptGeneration, ...] = Field(description="Oldest first.")
    changes: tuple[Change, ...] = Field((), description="Oldest first.")

    @property
    def lines(self) -> Iterator[str]:
        """Yield the result for people."""
        for item in self.generations:
            damaged = f"; cannot be used: {item.unusable}" if item.unusable else ""
            yield f"generation {item.number}: {item.story}{damaged}"
        if not self.generations:
            yield "no generation: daemon.json was not changed on this node"
        yield from (f"change {change.line}" for change in self.changes)


class FoundThing(Strict):
    """A container or an image that may be infrastructure."""

    subject: str = Field(description="The container's or the image's name.")
    shape: str = Field(description="Its known kind; empty if it has none.")
    image: str = Field(description="The image's id.")
    accepted: str = Field(description="`yes`, `no`, `other` (otherwise), `never` or `an app`.")
    notes: tuple[str, ...] = ()
    problem: str = Field("", description="Why it cannot be accepted; empty if it can.")
    entry: dict[str, Any] | None = Field(
        None, description="What `accept` would write, if that is new."
    )


class FoundInfrastructure(HostResult):
    """What a host has of the platform's own containers and images."""

    default: str = Field(description="Its `gvisor_default`.")
    reads: str | None = Field(description="The file that its `gvisor_infrastructure` names.")
    found: tuple[FoundThing, ...]


class Results(Strict):
    """What a command found on all hosts that it could read. The exit code is 1 if it missed one."""

    version: Literal[1] = VERSION
    hosts: tuple[
        Examined | KeptGenerations | FoundInfrastructure | AppOutlooks | Costs | Trial | Moves, ...
    ]


R = TypeVar("R", bound=HostResult)


def write_result(directory: Path, number: int, result: HostResult) -> None:
    """Write a host's result for ``read_results``. Raises ``OSError``."""
    (directory / f"{number}.json").write_text(result.model_dump_json(), encoding="utf-8")


def read_results(directory: Path, kind: type[R]) -> tuple[R, ...]:
    """Return what ``write_result`` wrote, sorted by host."""
    texts = (path.read_text("utf-8") for path in directory.glob("*.json"))
    return tuple(sorted(map(kind.model_validate_json, texts), key=lambda item: item.host))


def as_document(hosts: tuple[HostResult, ...]) -> dict[str, Any]:
    """Return the results as the JSON document of ``--json``."""
    return {"version": VERSION, "hosts": [host.model_dump(mode="json") for host in hosts]}
