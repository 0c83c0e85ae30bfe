"""What the deploy ``infrastructure`` found on a host: for people, and for ``accept``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pyinfra_gvisor.dispatch.accepted import accepted_so_far, is_same
from pyinfra_gvisor.dispatch.policy import Infrastructure
from pyinfra_gvisor.dispatch.proposals import Proposal, proposals
from pyinfra_gvisor.dispatch.pulled import SHORT_ID, Pulled, read_pulled
from pyinfra_gvisor.platforms.every import identify
from pyinfra_gvisor.report.results import FoundInfrastructure, FoundThing

# Environment variables, since pyinfra passes no arguments to a deploy.
FOUND_DIR: Final = "PYINFRA_GVISOR_FOUND"  # a directory for a file of each host
WANTED: Final = "PYINFRA_GVISOR_WANTED"  # JSON: a list of ids and names

Accepted = Literal["yes", "no", "other"]

_HEAD = ("container or image", "shape", "image id", "accepted")
_WIDTHS = (40, 20, 12, 8)


@dataclass(frozen=True)
class HostFound:
    """
    What was found on a host. ``reads``: the file that its ``gvisor_infrastructure`` names; None if
    it names none. ``default``: its ``gvisor_default``.
    """

    host: str
    reads: str | None
    entries: tuple[Infrastructure, ...]
    pulled: Pulled
    default: str = "off"


def declared(value: Any) -> tuple[str | None, tuple[Infrastructure, ...]]:
    """
    Return the file that ``gvisor_infrastructure`` names, and the entries that are declared.

    A file that does not exist yet has no entries. Raises ``ValueError`` if the value is wrong.
    """
    if isinstance(value, str):
        return value, accepted_so_far(Path(value))
    return None, tuple(Infrastructure.model_validate(item) for item in value or ())


def write_found(directory: Path, number: int, found: HostFound) -> None:
    """Write a host's findings to a file for ``read_found``. Raises ``OSError``."""
    document = {
        "host": found.host,
        "reads": found.reads,
        "entries": [entry.written() for entry in found.entries],
        "pulled": found.pulled.to_json(),
        "default": found.default,
    }
    (directory / f"{number}.json").write_text(json.dumps(document), encoding="utf-8")


def read_found(directory: Path) -> tuple[HostFound, ...]:
    """Return what ``write_found`` wrote, sorted by host."""
    documents = [json.loads(path.read_text("utf-8")) for path in directory.glob("*.json")]
    found = (
        HostFound(
            item["host"],
            item["reads"],
            tuple(map(Infrastructure.model_validate, item["entries"])),
            read_pulled(item["pulled"]),
            item["default"],
        )
        for item in documents
    )
    return tuple(sorted(found, key=lambda item: item.host))


def state(entry: Infrastructure, entries: Sequence[Infrastructure]) -> Accepted:
    """Return whether an entry is accepted. ``other``: its image and shape are, but otherwise."""
    if any(is_same(entry, known) for known in entries):
        return "yes"
    same = ((known.image, known.shape) == (entry.image, entry.shape) for known in entries)
    return "other" if any(same) else "no"


def lines(found: Sequence[Proposal], entries: Sequence[Infrastructure]) -> Iterator[str]:
    """Return a table of what a host has."""
    if not found:
        yield "no image or container of the platform, and no container that Docker would refuse"
        return
    yield _row(_HEAD)
    for item in found:
        word = accepted(item, entries)
        short = item.image.removeprefix("sha256:")[:SHORT_ID]
        yield _row((item.subject, item.shape or "-", short, word))
        app = identify(item.labels)
        whose = f"belongs to {app}" if app else ""
        yield from (f"  {note}" for note in (whose, *item.notes, item.problem) if note)
    if any(_new(item, entries) for item in found):
        yield "to accept: pyinfra-gvisor accept, with a container's name or an image id"


def _new(item: Proposal, entries: Sequence[Infrastructure]) -> Infrastructure | None:
    """Return the entry to accept; None if it is accepted, or of an app of a tenant's."""
    known = is_tenants(item) or accepted(item, entries) == "yes"
    return None if known else item.entry


def accepted(item: Proposal, entries: Sequence[Infrastructure]) -> str:
    """Return whether a thing is accepted: ``yes``, ``no``, ``other``, ``never`` or ``an app``."""
    if item.entry:
        word: str = state(item.entry, entries)
    elif not item.unseen:
        return "never"
    else:
        known = {(entry.image, entry.shape) for entry in entries}
        word = "yes" if (item.image, item.shape) in known else "no"
    return "an app" if is_tenants(item) and word == "no" else word


def as_result(found: HostFound) -> FoundInfrastructure:
    """Return what a host has, as the document of ``--json``."""
    things = tuple(
        FoundThing(
            subject=item.subject,
            shape=item.shape,
            image=item.image,
            accepted=accepted(item, found.entries),
            notes=item.notes,
            problem=item.problem,
            entry=new.written() if (new := _new(item, found.entries)) else None,
        )
        for item in proposals(found.pulled)
    )
    return FoundInfrastructure(
        host=found.host, default=found.default, reads=found.reads, found=things
    )


def is_tenants(item: Proposal) -> bool:
    """Return True if a container says that a platform's tenants made it."""
    app = identify(item.labels)
    return app is not None and app.tenants


def unused(entries: Sequence[Infrastructure], pulled: Pulled) -> Iterator[str]:
    """Return a line for each accepted image that is not on the host."""
    for image in sorted({entry.image for entry in entries} - {*pulled.images}):
        titles = sorted({entry.title for entry in entries if entry.image == image})
        short = image.removeprefix("sha256:")[:SHORT_ID]
        yield f"accepted, but not on this node: {short} ({', '.join(titles)})"


def _row(cells: Sequence[str]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True)).rstrip()
