"""What commands that only look found, a document for each host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from pydantic import Field

from pyinfra_gvisor.base.columns import some
from pyinfra_gvisor.base.models import Strict
from pyinfra_gvisor.node.changes import Change

VERSION: Final = 1  # of the documents' form; raised when a reader of the old form would fail


class HostResult(Strict):
    """What a command found on a host."""

    host: str

    @property
    def lines(self) -> Iterator[str]:
        """Yield the result for people."""
        raise NotImplementedError


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


class AppDifference(Strict):
    """What is different for an app under gVisor."""

    rule: str
    outlook: Literal["fails", "differs"]
    seen: str = Field(description="What was seen of the app.")
    what: str = Field(description="What happens under gVisor.")
    todo: str


class AppOutlook(Strict):
    """
    A running container, and what is known of it under the runtime that is declared for it.

    ``nothing known`` is no promise: rules do not see everything.
    """

    name: str
    image: str
    now: Literal["gVisor", "runc", "unknown"]
    runtime: str = Field(description="The runtime of `gvisor_runtimes` that it is compared with.")
    outlook: Literal["fails", "differs", "nothing known", "outside"] = Field(
        description="`outside`: the node lets it run under runc."
    )
    differences: tuple[AppDifference, ...] = ()
    cut: bool = Field(False, description="It has more processes than were looked at.")


class AppOutlooks(HostResult):
    """The running containers of a host, by name."""

    apps: tuple[AppOutlook, ...]

    @property
    def lines(self) -> Iterator[str]:
        """Yield the result for people: apps that fail, differences, then the others."""
        yield f"{len(self.apps)} running containers: {self._counted or 'none'}"
        for app in self._that("fails"):
            yield f"{app.name} FAILS in gVisor" + (" (it is there now)" * (app.now == "gVisor"))
            for item in app.differences:
                if item.outlook == "fails":
                    yield f"  {item.rule}: {item.seen}"
                    yield f"    {item.what}. {item.todo}."
        for (rule, what, todo), names in sorted(self._differing().items()):
            yield f"differs, {rule}: {some(names, _NAMED)}"
            yield f"    {what}. {todo}."
        for outlook, text in _OTHERS.items():
            if names := [app.name for app in self._that(outlook)]:
                yield f"{text}: {some(names, _NAMED)}"
        if cut := [app.name for app in self.apps if app.cut]:
            yield f"not looked at wholly, too many processes: {some(cut, _NAMED)}"

    @property
    def _counted(self) -> str:
        counts = {text: len(self._that(outlook)) for outlook, text in _COUNTED.items()}
        return ", ".join(f"{count} {text}" for text, count in counts.items() if count)

    def _that(self, outlook: str) -> list[AppOutlook]:
        return [app for app in self.apps if app.outlook == outlook]

    def _differing(self) -> dict[tuple[str, str, str], list[str]]:
        found: dict[tuple[str, str, str], list[str]] = {}
        for app in self.apps:
            for item in app.differences:
                if item.outlook == "differs":
                    name = f"{app.name} ({item.seen})"
                    found.setdefault((item.rule, item.what, item.todo), []).append(name)
        return found


_NAMED = 12  # containers in one line
_COUNTED = {
    "fails": "would fail in gVisor",
    "differs": "would differ",
    "nothing known": "with no known difference",
    "outside": "outside as declared",
}
_OTHERS = {
    "nothing known": "no known difference, which is no promise",
    "outside": "stay outside of gVisor, as declared",
}


class Results(Strict):
    """What a command found on all hosts that it could read. The exit code is 1 if it missed one."""

    version: Literal[1] = VERSION
    hosts: tuple[Examined | KeptGenerations | FoundInfrastructure | AppOutlooks, ...]


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
