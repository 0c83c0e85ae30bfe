"""What has to happen to a node's daemon.json and dockerd, decided from one ``Node``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyinfra_gvisor.dockerd_keys import NEUTRAL, Force, force_of, only_new_containers
from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.json_text import Json, JsonText, Path, from_pointer, lookup, pointer
from pyinfra_gvisor.merge import Merge, Owned, flatten, merge, same
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.refusals import refuse, refuse_loss

STATE_ADVICE = {
    "unreadable": ("cannot be read", "connect as root or with sudo"),
    "directory": ("is a directory", "remove it, or move what is in it"),
    "dangling": ("is a symbolic link to nothing", "remove the link or restore its target"),
    "not utf-8": ("is not UTF-8 text", "mend it by hand"),
}


@dataclass(frozen=True)
class Plan:
    """
    What to write and how to bring it into force.

    ``after`` is None for "no file". ``neutral`` is written and loaded before ``after`` where
    leaving a key out would keep its old value live. ``started_with`` are the restart keys that the
    running dockerd will have been started with once the plan is carried out.
    """

    before: str | None
    after: str | None
    owned: Owned
    action: Force
    reasons: tuple[str, ...]
    neutral: str | None = None
    drifted: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    started_with: Mapping[str, Json] | None = None
    record: bool = False

    @property
    def changes(self) -> bool:
        """Whether anything at all is to be done, be it only to write down what is ours."""
        return self.before != self.after or self.action > Force.NOTHING or self.record


def plan_daemon_json(
    node: Node, wanted: Mapping[str, Json], *, if_absent: Mapping[str, Json] | None = None
) -> Plan:
    """
    The plan that gives daemon.json the keys in ``wanted``, and nobody else's key another value.

    + if_absent: keys to set only where the node has none of its own

    Raises ``Problem`` where the file cannot be understood or the outcome cannot work.
    """
    before = current_text(node)
    owned = Owned.load(node.state)
    paths = flatten({**wanted, **_missing(before, owned, if_absent or {})})
    merged = merge(before, owned, paths)
    after_value = {} if merged.text is None else JsonText(merged.text).value
    refuse(node, after_value, paths)
    started = started_with(node)
    action, reasons = _force(node, before, merged, started)
    if action is Force.RESTART:
        refuse_loss(node, after_value)
    return Plan(
        before=before,
        after=merged.text,
        owned=merged.owned,
        action=action,
        reasons=reasons,
        neutral=_neutral(before, merged.text),
        drifted=merged.drifted,
        left=merged.left,
        started_with=restart_keys(after_value) if action is Force.RESTART else started,
        record=merged.owned != owned,
    )


def current_text(node: Node) -> str | None:
    """The text of daemon.json, None if there is no such file; ``Problem`` if it cannot be known."""
    state = node.daemon_json.state
    if state in STATE_ADVICE:
        what, todo = STATE_ADVICE[state]
        raise Problem(what, todo=todo)
    return node.daemon_json.text


def started_with(node: Node) -> Mapping[str, Json] | None:
    """
    The restart keys that the running dockerd was started with; None if that cannot be known.

    Known from our own record if that is of this very process, or from the file if it has not been
    touched since the process started.
    """
    if node.dockerd is None:
        return {}
    applied = node.state.get("applied", {})
    if applied.get("dockerd") == node.dockerd.identity and isinstance(
        applied.get("started_with"), dict
    ):
        found: Mapping[str, Json] = applied["started_with"]
        return found
    text = node.daemon_json.text
    if text is None:
        return {} if node.daemon_json.state == "absent" else None
    return (
        restart_keys(JsonText(text).value)
        if node.daemon_json.mtime_s <= node.dockerd.started_s
        else None
    )


def restart_keys(value: Mapping[str, Json]) -> dict[str, Json]:
    """The top-level keys that dockerd reads only when it starts."""
    return {key: item for key, item in value.items() if force_of((key,)) is Force.RESTART}


def _missing(text: str | None, owned: Owned, if_absent: Mapping[str, Json]) -> dict[str, Json]:
    there = {} if text is None else JsonText(text).value
    ours = {from_pointer(name)[0] for name in owned.paths}
    missing = {key: value for key, value in if_absent.items() if key not in there or key in ours}
    # log-opts are the driver's own: another driver refuses them, and dockerd then does not start.
    if (
        not same(there.get("log-driver"), if_absent.get("log-driver"))
        and "log-driver" not in missing
    ):
        missing.pop("log-opts", None)
    return missing


def _force(
    node: Node, before: str | None, merged: Merge, started: Mapping[str, Json] | None
) -> tuple[Force, tuple[str, ...]]:
    """The least force that brings the merged file into force, and why, a line for each path."""
    old = {} if before is None else JsonText(before).value
    new = {} if merged.text is None else JsonText(merged.text).value
    needs: dict[Force, list[str]] = {Force.RELOAD: [], Force.RESTART: []}
    unknown = started is None
    for path in sorted(_touched(old, new) | {from_pointer(name) for name in merged.owned.paths}):
        force = force_of(path)
        live = (
            _live(node, path, old)
            if force is Force.RELOAD
            else _at({} if started is None else started, path)
        )
        if not same(live, _at(new, path)) or (unknown and force is Force.RESTART):
            needs[force].append(pointer(path))
    reasons = []
    if needs[Force.RESTART]:
        owed = (
            ""
            if before != merged.text
            else " (already in the file, but dockerd was started without it)"
        )
        reasons.append(
            f"restart, because dockerd reads only at start{owed}: {', '.join(needs[Force.RESTART])}"
        )
    if needs[Force.RELOAD]:
        reasons.append(f"reload (SIGHUP) is enough for: {', '.join(needs[Force.RELOAD])}")
    kept = [
        name
        for names in needs.values()
        for name in names
        if only_new_containers(from_pointer(name))
    ]
    if kept:
        reasons.append(f"containers that exist keep their old value of: {', '.join(sorted(kept))}")
    return max((force for force, names in needs.items() if names), default=Force.NOTHING), tuple(
        reasons
    )


def _touched(old: Mapping[str, Json], new: Mapping[str, Json]) -> set[Path]:
    """The paths whose values differ, as deep as ``flatten`` goes."""
    before, after = flatten(old), flatten(new)
    return {
        path
        for path in before.keys() | after.keys()
        if not same(before.get(path, {}), after.get(path, {}))
    }


def _live(node: Node, path: Path, old: Mapping[str, Json]) -> Json:
    """The value that the live daemon has, as far as it says so; else what the file said."""
    info = node.info
    if info is None:
        return _at(old, path)
    if path == ("live-restore",):
        return info.live_restore if "live-restore" in old or info.live_restore else None
    if path == ("default-runtime",):
        return (
            info.default_runtime
            if "default-runtime" in old or info.default_runtime != "runc"
            else None
        )
    if len(path) > 1 and path[0] == "runtimes":
        entry = info.runtimes.get(path[1])
        written = _at(old, path)
        if entry is None:
            return None
        if isinstance(written, dict) and written.get("path") == entry.path:
            return written
        return {
            "path": entry.path,
            **({"runtimeArgs": list(entry.arguments)} if entry.arguments else {}),
        }
    return _at(old, path)


def _at(value: Any, path: Path) -> Json:
    try:
        return lookup(value, path)
    except KeyError:
        return None


def _neutral(before: str | None, after: str | None) -> str | None:
    """The text that first makes keys ineffective which ``after`` leaves out, if there are any."""
    old = {} if before is None else JsonText(before).value
    document = JsonText("{}\n" if after is None else after)
    gone = [
        key
        for key in NEUTRAL
        if key in old and key not in document.value and not same(old[key], NEUTRAL[key])
    ]
    if not gone:
        return None
    for key in gone:
        document = document.set((key,), NEUTRAL[key])
    return document.text


def dump(value: object) -> str:
    """One line of JSON with a newline, as our own records on the node are written."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"
