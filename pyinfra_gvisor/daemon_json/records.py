"""
The record of our keys in daemon.json, and what to do if the record is lost.

Without this record, our own keys would count as the user's and stay for ever. So no change is
planned without it, unless it is certain that there never was a record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyinfra_gvisor.base.errors import Problem, cut
from pyinfra_gvisor.base.json_text import JsonText
from pyinfra_gvisor.daemon_json.merge import Owned
from pyinfra_gvisor.node import STATE_DIR, Node
from pyinfra_gvisor.node.records import COPY, VERSIONS
from pyinfra_gvisor.sandbox.verdict import RUNTIMES_DIR, release_of

OWNED_JSON = f"{STATE_DIR}/owned.json"
COPY_JSON = f"{STATE_DIR}/{COPY}.json"
_WAY_OUT = "restore this file from a backup, or see Lost records in docs/daemon-json.md"


@dataclass(frozen=True)
class RecordRepair:
    """
    A record that is rewritten from its other copy.

    ``why`` is the message before that. ``means`` is the audit's text, empty for no finding.
    """

    source: str
    target: str
    why: str
    means: str = ""


class UnusableRecord(Problem):
    """A record that cannot be used, and without which no change can be planned."""


def newer(node: Node) -> UnusableRecord | None:
    """Return the problem of a record from a later version of this package, None without one."""
    for record in node.unusable:
        if record.newer:
            return UnusableRecord(
                f"{STATE_DIR}/{record.file} is from a newer pyinfra-gvisor; "
                f"this one knows version {VERSIONS[record.name]}",
                got=record.got,
                todo="use the pyinfra-gvisor that wrote this file, or a later one",
            )
    return None


def owned_by_us(node: Node) -> Owned:
    """
    Return the record of our keys in daemon.json, or its second copy.

    Raises ``Problem`` if both are lost, or if a record is from a newer version. While an
    interrupted change waits to be ended, a lost record is no problem: that change writes it.
    """
    if problem := newer(node):
        raise problem
    found = _recorded(node)
    if found is not None:
        return found
    if not node.pending and (lost := _lost(node)):
        raise lost
    return Owned()


def mending(node: Node) -> RecordRepair | None:
    """Return how to make the two copies of the record equal again; None if they are equal."""
    if node.pending or newer(node):
        return None
    record, copy = (node.state.get(name) for name in ("owned", COPY))
    if _parsed(record) is None:
        if _parsed(copy) is None:
            return None
        state = _state(node)
        why, means = f"{OWNED_JSON} is {state}: restore it", f"{state}; the second copy is used"
        return RecordRepair(COPY_JSON, OWNED_JSON, why, means)
    if record == copy:
        return None
    why = f"{COPY_JSON} is missing or differs: write it"
    return RecordRepair(OWNED_JSON, COPY_JSON, why)


def harmless_faults(node: Node) -> list[tuple[str, str]]:
    """Return the files of damaged records that do not stop a run, and the effect of each."""
    found = [
        (f"{STATE_DIR}/{record.file}", f"damaged: {cut(record.got)}; {_MEANS[record.name]}")
        for record in node.unusable
        if record.name in _MEANS and not record.newer
    ]
    mended = mending(node)
    return [*found, (mended.target, mended.means)] if mended and mended.means else found


_MEANS = {
    "applied": "what dockerd was started with is inferred from daemon.json's change time",
    "last-run": "the result of the last change of daemon.json is unknown",
    "proof": "the node counts as not proven",
    "proof-try": "the reason why the last proof failed is unknown",
}


def _recorded(node: Node) -> Owned | None:
    return _parsed(node.state.get("owned")) or _parsed(node.state.get(COPY))


def _parsed(record: Any) -> Owned | None:
    """Return the record in the current form, None if it is missing or damaged."""
    try:
        return None if record is None else Owned.load(record)
    except ValueError:
        return None


def _state(node: Node) -> str:
    there = "owned" in node.state or any(item.name == "owned" for item in node.unusable)
    return "damaged" if there else "missing"


def _lost(node: Node) -> UnusableRecord | None:
    """
    Return the problem of a lost record, None on a node that we never changed.

    The record was lost if ``applied`` or ``last-run`` exist, which are written after it, or if
    daemon.json has runtimes that start our wrappers, which nobody else writes.
    """
    if _state(node) == "damaged":
        got = next((item.got for item in node.unusable if item.name == "owned"), "another form")
        what = f"{OWNED_JSON} is damaged, and has no usable second copy"
        return UnusableRecord(what, got=got, todo=_WAY_OUT)
    others = {*node.state, *(item.name for item in node.unusable)}
    last = node.state.get("last-run", {}).get("result")
    if "applied" in others or last == "applied" or node.generations_owned:
        what = f"{OWNED_JSON} is missing, and has no usable second copy"
        return UnusableRecord(what, todo=_WAY_OUT)
    if names := _wrapped(node):
        return UnusableRecord(
            f"{OWNED_JSON} is missing, but daemon.json has runtimes of ours",
            got=", ".join(names),
            todo=_WAY_OUT,
        )
    return None


def _wrapped(node: Node) -> list[str]:
    """Return the runtimes in daemon.json that have the form in which this package writes them."""
    text = node.daemon_json.text or ""
    entries = JsonText(text).value.get("runtimes") if text.strip() else None
    return [
        name
        for name, entry in (entries.items() if isinstance(entries, dict) else ())
        if isinstance(entry, dict)
        if entry.keys() == {"path"} and release_of(path := str(entry["path"]))
        if path.startswith(f"{RUNTIMES_DIR}/{name}-")
    ]
