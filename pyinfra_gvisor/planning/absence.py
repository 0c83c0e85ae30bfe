"""
Refuse a run that would lower what a node has only because a key is absent from the settings.

A checkout without ``gvisor_egress`` must not remove the firewall. Only the explicit off value of a
key does so: ``PROTECTIONS`` is the only list of these values.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Path, from_pointer
from pyinfra_gvisor.daemon_json.merge import CANARY, GVISOR, Owned
from pyinfra_gvisor.daemon_json.records import owned_by_us
from pyinfra_gvisor.daemon_json.shared_lists import MEMBERS
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.every import PARTS
from pyinfra_gvisor.parts.part import Part
from pyinfra_gvisor.runtimes.hardening import STRICT
from pyinfra_gvisor.runtimes.profiles import DEFAULT_RUNTIME, Runtime
from pyinfra_gvisor.settings import HARDENED, HARDENED_IF_ABSENT, PREFIX, Settings

_LAST: list[Any] = []  # the node that was looked at last, and its paths
_OF_OTHER_KEYS = {"runtimes", "default-runtime", *MEMBERS, *HARDENED, *HARDENED_IF_ABSENT}


@dataclass(frozen=True)
class Protection:
    """
    What a node keeps until the off value of its key removes it.

    + key: the setting, without ``gvisor_``
    + off: the value that removes the protection, as an operator writes it
    + what: what the node loses
    + lost: yields what a run with these settings would take from the node, if the key is absent
    """

    key: str
    off: str
    what: str
    lost: Callable[[Node, Settings], Iterator[str]]


def absence_problems(
    node: Node, settings: Settings, keys: Collection[str] | None = None
) -> list[Problem]:
    """
    Return what a run would lower on this node because a key is absent, one problem a key.

    + keys: the keys to look at, without the prefix; None for all
    """
    rows = (row for row in PROTECTIONS if keys is None or row.key in keys)
    absent = (row for row in rows if row.key not in settings.model_fields_set)
    return [
        _problem(row, ", ".join(lost)) for row in absent if (lost := [*row.lost(node, settings)])
    ]


def _problem(row: Protection, lost: str) -> Problem:
    key = PREFIX + row.key
    todo = f"set {key}, or write {key} = {row.off} to remove {row.what}"
    return Problem(f"{key} is not set, but the node has {lost}", todo=todo)


def _ours(node: Node) -> Owned:
    """Return the record of our keys, without those of trials; empty if there is none."""
    try:
        return owned_by_us(node).without(CANARY)
    except Problem:  # told by the plan of daemon.json, which needs the record too
        return Owned()


def _paths(node: Node) -> dict[Path, object]:
    """Return the paths of daemon.json that a deploy of this package has set, with their values."""
    if not (_LAST and _LAST[0] is node):  # each protection asks for them
        paths = _ours(node).paths.items()
        mine = {from_pointer(name): mine.wrote for name, mine in paths if GVISOR in mine.owners}
        _LAST[:] = (node, mine)
    found: dict[Path, object] = _LAST[1]
    return found


def _runtimes(node: Node) -> dict[str, str]:
    """Return the runtimes that a deploy has set, with the paths of their wrappers."""
    return {
        path[1]: str(value.get("path"))
        for path, value in _paths(node).items()
        if path[0] == "runtimes" and len(path) > 1 and isinstance(value, dict)
    }


def _has_default(node: Node) -> bool:
    return _paths(node).get(("default-runtime",)) == DEFAULT_RUNTIME


def _default(node: Node, settings: Settings) -> Iterator[str]:
    if _has_default(node) and settings.dispatch is None:
        yield "gVisor as its default runtime"


def _default_runtime(node: Node, settings: Settings) -> Iterator[str]:
    names = {path: name for name, path in _runtimes(node).items()}
    own = _runtimes(node).get(DEFAULT_RUNTIME, "")
    usual = names.get(node.sandboxes.get(own, ""))
    # A runtime that is not declared any more has gone with gvisor_runtimes.
    if settings.dispatch and usual in settings.runtimes and usual != settings.dispatch.runtime:
        yield f"{usual} for containers that ask for no runtime"


def _seal(node: Node, settings: Settings) -> Iterator[str]:
    if "default" not in settings.model_fields_set and any(_default(node, settings)):
        return  # the seal may have come with the default, which is refused
    for name, path in _runtimes(node).items():
        declared = settings.runtimes.get(name)
        if path in node.sealed and declared and not declared.seal:
            yield f"a seal for runtime {name}"


def _other_runtimes(node: Node, settings: Settings) -> Iterator[str]:
    for name, path in _runtimes(node).items():
        if name not in (*settings.runtimes, DEFAULT_RUNTIME):
            yield f"runtime {name}"
        elif name in settings.runtimes and (stricter := _stricter(node.starts.get(path, ""))):
            yield f"runtime {name} with {stricter}"


def _stricter(command: str) -> str:
    """Return the flags of a wrapper that isolate more than a runtime without options."""
    networks = {"--network=none", "--network=sandbox"} - {f"--network={Runtime().network}"}
    isolating = {*networks, *(item.flag for item in STRICT)}
    return " ".join(word for word in command.split() if word in isolating)


def _keys(node: Node, settings: Settings) -> Iterator[str]:
    return _undeclared({path[0] for path in _paths(node)} - _ours(node).if_absent, settings)


def _keys_if_absent(node: Node, settings: Settings) -> Iterator[str]:
    return _undeclared(_ours(node).if_absent, settings)


def _undeclared(keys: Collection[str], settings: Settings) -> Iterator[str]:
    declared = {*settings.daemon_json, *settings.daemon_json_if_absent}
    for key in sorted({*keys} - _OF_OTHER_KEYS - declared):
        yield f"{key} in daemon.json"


def _of_part(part: Part) -> Protection:
    def lost(node: Node, settings: Settings) -> Iterator[str]:
        if part.there(node) and not part.declared(settings):
            yield part.title

    return Protection(part.key, part.off, part.title, lost)


PROTECTIONS: tuple[Protection, ...] = (
    Protection("runtimes", "{}", "all runtimes", _other_runtimes),
    Protection("default", '"off"', "the default runtime", _default),
    Protection("default_runtime", "None", "this choice", _default_runtime),
    Protection("seal", "None", "the seal", _seal),
    Protection("daemon_json", "{}", "the keys of daemon.json that have no default", _keys),
    Protection(
        "daemon_json_if_absent", "{}", "the keys that this setting has added", _keys_if_absent
    ),
    *(_of_part(part) for part in PARTS if part.key),
)
