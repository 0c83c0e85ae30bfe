"""
What of daemon.json is ours by our own record, and what to do where that record is lost.

Without it, our own keys would be taken for the user's and stay for ever. So no change is planned
without it, unless it is certain that there never was one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyinfra_gvisor.daemon_json.merge import Owned
from pyinfra_gvisor.daemon_json.text import JsonText
from pyinfra_gvisor.errors import Problem, cut
from pyinfra_gvisor.node import STATE_DIR, Node
from pyinfra_gvisor.node.records import COPY, VERSIONS
from pyinfra_gvisor.sandbox.verdict import RUNTIMES_DIR, release_of

OWNED_JSON = f"{STATE_DIR}/owned.json"
COPY_JSON = f"{STATE_DIR}/{COPY}.json"
_WAY_OUT = "put the record back from a backup, or see Lost records in docs/daemon-json.md"


@dataclass(frozen=True)
class Mending:
    """
    A record that is to be written from the other copy of it.

    ``why`` is said before. ``means`` is what the audit says of it, empty for nothing.
    """

    source: str
    target: str
    why: str
    means: str = ""


class UnusableRecord(Problem):
    """A record without which nothing can be planned."""


def newer(node: Node) -> UnusableRecord | None:
    """Return why a record of a later version of this package is refused, None if there is none."""
    for record in node.unusable:
        if record.newer:
            return UnusableRecord(
                f"{STATE_DIR}/{record.file} is from a newer pyinfra-gvisor; "
                f"this one knows version {VERSIONS[record.name]}",
                got=record.got,
                todo="use the pyinfra-gvisor that wrote it, or a later one",
            )
    return None


def owned_by_us(node: Node) -> Owned:
    """
    Return what of daemon.json is ours: by the record, or by its second copy.

    Raises ``Problem`` if the record is lost and there is no copy, or a record is of a newer
    version. While a change waits to be ended nothing is said: that writes the record.
    """
    if problem := newer(node):
        raise problem
    found = _recorded(node)
    if found is not None:
        return found
    if not node.pending and (lost := _lost(node)):
        raise lost
    return Owned()


def mending(node: Node) -> Mending | None:
    """Return how the two copies of the record are made the same again; None if they are."""
    if node.pending or newer(node):
        return None
    record, copy = (node.state.get(name) for name in ("owned", COPY))
    if _parsed(record) is None:
        if _parsed(copy) is None:
            return None
        state = _state(node)
        why, means = f"{OWNED_JSON} is {state}: restore it", f"{state}; its second copy counts"
        return Mending(COPY_JSON, OWNED_JSON, why, means)
    if record == copy:
        return None
    why = f"{COPY_JSON} is missing or differs: write it"
    return Mending(OWNED_JSON, COPY_JSON, why)


def harmless_faults(node: Node) -> list[tuple[str, str]]:
    """Return the files of damaged records that stop no run, and what that means for each."""
    found = [
        (f"{STATE_DIR}/{record.file}", f"damaged: {cut(record.got)}; {_MEANS[record.name]}")
        for record in node.unusable
        if record.name in _MEANS and not record.newer
    ]
    mended = mending(node)
    return [*found, (mended.target, mended.means)] if mended and mended.means else found


_MEANS = {
    "applied": "what dockerd was started with is judged by daemon.json's time of change",
    "last-run": "how the last change of daemon.json ended is not known",
    "proof": "the node counts as not proven",
    "proof-try": "why a proof could not be made is not known",
}


def _recorded(node: Node) -> Owned | None:
    return _parsed(node.state.get("owned")) or _parsed(node.state.get(COPY))


def _parsed(record: Any) -> Owned | None:
    """Return the record with its form of today, None if there is none or it is damaged."""
    try:
        return None if record is None else Owned.load(record)
    except ValueError:
        return None


def _state(node: Node) -> str:
    there = "owned" in node.state or any(item.name == "owned" for item in node.unusable)
    return "damaged" if there else "missing"


def _lost(node: Node) -> UnusableRecord | None:
    """
    Return why a record must have been there, None on a node that we never changed.

    ``applied`` and ``last-run`` are written after it; what only a wrapper of ours can stand for
    is never in a daemon.json of somebody else's.
    """
    if _state(node) == "damaged":
        got = next((item.got for item in node.unusable if item.name == "owned"), "another form")
        what = f"{OWNED_JSON} is damaged, and has no second copy"
        return UnusableRecord(what, got=got, todo=_WAY_OUT)
    others = {*node.state, *(item.name for item in node.unusable)}
    last = node.state.get("last-run", {}).get("result")
    if "applied" in others or last == "applied" or node.generations_owned:
        return UnusableRecord(f"{OWNED_JSON} is missing, and has no second copy", todo=_WAY_OUT)
    if names := _wrapped(node):
        return UnusableRecord(
            f"{STATE_DIR} has no record, but runtimes in daemon.json are ours",
            got=", ".join(names),
            todo=_WAY_OUT,
        )
    return None


def _wrapped(node: Node) -> list[str]:
    """Return the runtimes in daemon.json that are as this package writes them."""
    text = node.daemon_json.text or ""
    entries = JsonText(text).value.get("runtimes") if text.strip() else None
    return [
        name
        for name, entry in (entries.items() if isinstance(entries, dict) else ())
        if isinstance(entry, dict)
        if entry.keys() == {"path"} and release_of(path := str(entry["path"]))
        if path.startswith(f"{RUNTIMES_DIR}/{name}-")
    ]
