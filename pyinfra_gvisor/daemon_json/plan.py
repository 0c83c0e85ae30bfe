"""What has to happen to a node's daemon.json and dockerd, decided from one ``Node``."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from pyinfra_gvisor.daemon_json.in_force import at, in_force, known, read_keys
from pyinfra_gvisor.daemon_json.keys import (
    Force,
    Version,
    force_of,
    neutral_values,
    only_new_containers,
)
from pyinfra_gvisor.daemon_json.leaving import leaving, with_staying
from pyinfra_gvisor.daemon_json.merge import CANARY, GVISOR, Merge, Owned, flatten, merge, same
from pyinfra_gvisor.daemon_json.reach import USERLAND_PROXY, needs_proxy, proxied
from pyinfra_gvisor.daemon_json.records import owned_by_us
from pyinfra_gvisor.daemon_json.refusals import (
    can_live_restore,
    refuse,
    refuse_firewall_change,
    refuse_loss,
    refuse_moving,
)
from pyinfra_gvisor.daemon_json.runtime_users import Ask, users_by_runtime
from pyinfra_gvisor.daemon_json.text import (
    EMPTY,
    Json,
    JsonText,
    Path,
    from_pointer,
    is_blank,
    pointer,
)
from pyinfra_gvisor.daemon_json.validation import dockerd_version
from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.node.reach import Published

Restart = Literal["auto", "reload", "never"]
STATE_ADVICE = {
    "unreadable": ("cannot be read", "connect as root or with sudo"),
    "directory": ("is a directory", "remove it, or move what is in it"),
    "special": ("is no regular file", "move it away"),
    "dangling": ("is a symbolic link to nothing", "remove the link or restore its target"),
    "not utf-8": ("is not UTF-8 text", "mend it by hand"),
}
BLANK_SINCE: Version = (23, 0)  # moby/moby#42393; before, dockerd ends with "EOF"


@dataclass(frozen=True)
class Plan:
    """
    What to write and how to bring it into force.

    ``after`` is None for "no file". ``neutral`` is written and loaded before ``after`` where
    leaving a key out would keep its old value live, and ``back`` before ``before`` on the way back.
    ``live_restore`` says whether a restart can be made with live-restore on, whatever the file
    says. ``owed`` are the paths that only a restart would bring into force, and that none is made
    for. ``started_with`` and ``loaded`` are the keys that dockerd will have read when it started,
    and when it last loaded the file. ``lost`` are the published ports that clients cannot reach
    when the restart, this one or the one that is owed, has ended docker-proxy, None if it does not
    end it; ``spared`` are those for which docker-proxy is kept. ``leaving`` are the runtimes that
    dockerd will not know any more, ``kept`` those that nobody wants and containers use, with these
    containers. ``generation`` is the number of the one that this goes back to. A ``temporary``
    change is none to go back to: the one before it stays the newest.
    """

    before: str | None
    after: str | None
    owned: Owned
    action: Force
    reasons: tuple[str, ...]
    neutral: str | None = None
    back: str | None = None
    drifted: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    owed: tuple[str, ...] = ()
    live_restore: bool = True
    started_with: Mapping[str, Json] | None = None
    loaded: Mapping[str, Json] | None = None
    lost: tuple[Published, ...] | None = None
    spared: tuple[Published, ...] = ()
    leaving: tuple[str, ...] = ()
    kept: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    record: bool = False
    generation: int | None = None
    temporary: bool = False

    @property
    def changes(self) -> bool:
        """Whether anything at all is to be done, be it only to write down what is ours."""
        return self.before != self.after or self.action > Force.NOTHING or self.record


def plan_daemon_json(  # noqa: PLR0913 - all but two are keywords
    node: Node,
    wanted: Mapping[str, Json],
    *,
    if_absent: Mapping[str, Json] | None = None,
    owner: str = GVISOR,
    spare_ports: bool = False,
    restart: Restart = "auto",
    staying: Collection[str] = (),
) -> Plan:
    """
    The plan that gives daemon.json the keys in ``wanted``, and nobody else's key another value.

    + if_absent: keys to set only where the node has none of its own
    + owner: who wants them; the keys of other owners stay as they are
    + spare_ports: leave the userland-proxy alone where clients lose a published port without it
    + restart: ``auto`` restarts dockerd where a key needs it, ``reload`` leaves such a restart
      owed, ``never`` refuses what needs one
    + staying: runtimes whose entries stay as they are, whether they are wanted or not

    Raises ``Problem`` where the file cannot be understood or the outcome cannot work.
    """
    before, owned = current_text(node), owned_by_us(node)
    spared = needs_proxy(node) if spare_ports and wanted.get(USERLAND_PROXY) is False else ()
    if spared:
        wanted = {key: value for key, value in wanted.items() if key != USERLAND_PROXY}
    if owner == GVISOR:
        owned = owned.without(CANARY)
    wanted = with_staying(wanted, before, owned, staying)
    missing = _missing(before, owned, if_absent or {}, owner)
    paths = flatten({**wanted, **{key: missing[key] for key in missing if key not in wanted}})
    merged = merge(before, owned, paths, owner=owner)
    plan = plan_merged(node, merged, paths, ours={*paths, *owned.of(owner)}, restart=restart)
    if spared:
        _refuse_lost_ports(plan)
    return replace(plan, spared=spared)


class Planning(Protocol):
    """Makes a plan in which the runtimes ``staying`` keep their entries."""

    def __call__(self, *, staying: Collection[str] = ()) -> Plan:
        """Return the plan; raises ``Problem`` where there is none."""


def plan_around_users(planning: Planning, ask: Ask, *, keep_running: bool) -> Plan:
    """
    Return the plan under which no runtime leaves that a container uses, running or not.

    + ask: lists the containers; called only where a runtime would leave
    + keep_running: keep such a runtime, instead of refusing to take it away

    Raises ``Problem`` with the containers' names where one would leave.
    """
    plan = planning()
    used = users_by_runtime(plan.leaving, ask()) if plan.leaving else {}
    if not used:
        return plan
    kept = planning(staying=tuple(used)) if keep_running else plan
    lost = [name for name in used if name in kept.leaving]
    if lost:
        needed = [f"{name}, which these need to start: {', '.join(used[name])}" for name in lost]
        raise Problem(
            f"would take runtimes out of daemon.json: {'; '.join(needed)}",
            todo="they are not in the file: add them, or recreate or remove these containers"
            if keep_running
            else "keep them in gvisor_runtimes, or recreate or remove these containers; "
            "gvisor_keep_running = True keeps them until no container needs them",
        )
    return replace(kept, kept=used)


def plan_merged(
    node: Node,
    merged: Merge,
    paths: Mapping[Path, Json],
    *,
    ours: Collection[Path],
    restart: Restart = "auto",
) -> Plan:
    """
    The plan that brings a merged file into force.

    + paths: what is wanted in it
    + ours: the paths that must be in force afterwards, besides all that change
    """
    before, owned = current_text(node), owned_by_us(node)
    after_value = {} if merged.text is None else JsonText(merged.text).value
    refuse(node, after_value, paths)
    needs = _needs(node, before, merged, ours)
    action = _action(needs, restart)
    _refuse_harm(node, action, {} if before is None else JsonText(before).value, after_value, ours)
    started = known(node, Force.RESTART)
    owed = () if action is Force.RESTART else _owed(needs, started, after_value)
    return Plan(
        before=before,
        after=merged.text,
        owned=merged.owned,
        action=action,
        reasons=_reasons(needs, restart, in_file=before == merged.text),
        neutral=_neutral(before, merged.text, owned, node) if action is Force.RELOAD else None,
        back=_neutral(merged.text, before, merged.owned, node),
        drifted=merged.drifted,
        left=merged.left,
        owed=owed,
        live_restore=can_live_restore(node),
        started_with=read_keys(after_value, Force.RESTART) if action is Force.RESTART else started,
        loaded=read_keys(after_value, Force.RELOAD) if action else known(node, Force.RELOAD),
        lost=_lost(node, after_value, action, owed),
        leaving=leaving(node, before, merged.text, action),
        record=merged.owned != owned,
    )


def _refuse_harm(
    node: Node,
    action: Force,
    old: Mapping[str, Json],
    new: Mapping[str, Json],
    ours: Collection[Path],
) -> None:
    """Raise ``Problem`` if running containers would come to harm."""
    if action is Force.RESTART or ("firewall-backend",) in ours:
        refuse_firewall_change(node, new)
    if action is not Force.NOTHING:
        refuse_moving(node, old, new)
    if action is Force.RESTART:
        refuse_loss(node)


def _refuse_lost_ports(plan: Plan) -> None:
    """Raise ``Problem`` if a restart ends docker-proxy because of what others have written."""
    if plan.lost and plan.action is Force.RESTART:
        raise Problem(
            "a restart would end docker-proxy, which the file switches off, and without which "
            f"clients lose {', '.join(map(str, plan.lost))}",
            todo='set gvisor_daemon_json = {"userland-proxy": True} to keep it, or False to lose '
            "these ports",
        )


def _lost(
    node: Node, new: Mapping[str, Json], action: Force, owed: Collection[str]
) -> tuple[Published, ...] | None:
    """Return what clients lose with docker-proxy, None unless a restart with this file ends it."""
    restarts = action is Force.RESTART or pointer((USERLAND_PROXY,)) in owed
    ends = restarts and new.get(USERLAND_PROXY) is False and proxied(node)
    return needs_proxy(node) if ends else None


def current_text(node: Node) -> str | None:
    """The text of daemon.json, None if there is no such file; ``Problem`` if it cannot be known."""
    state = node.daemon_json.state
    if state in STATE_ADVICE:
        what, todo = STATE_ADVICE[state]
        raise Problem(what, todo=todo)
    text, version = node.daemon_json.text, dockerd_version(node)
    if text is not None and is_blank(text) and version is not None and version < BLANK_SINCE:
        what = "the file is empty, which Docker before 23.0 does not start with"
        raise Problem(what, todo="write {} or remove the file")
    return text


def _missing(
    text: str | None, owned: Owned, if_absent: Mapping[str, Json], owner: str
) -> dict[str, Json]:
    there = {} if text is None else JsonText(text).value
    ours = {path[0] for path in owned.of(owner)}
    missing = {key: value for key, value in if_absent.items() if key not in there or key in ours}
    # log-opts are the driver's own: another driver refuses them, and dockerd then does not start.
    if (
        not same(there.get("log-driver"), if_absent.get("log-driver"))
        and "log-driver" not in missing
    ):
        missing.pop("log-opts", None)
    return missing


def _needs(
    node: Node, before: str | None, merged: Merge, ours: Collection[Path]
) -> dict[Force, list[str]]:
    """The paths that are not in force yet, by what brings them into force."""
    old = {} if before is None else JsonText(before).value
    new = {} if merged.text is None else JsonText(merged.text).value
    needs: dict[Force, list[str]] = {Force.RELOAD: [], Force.RESTART: []}
    for path in sorted(_touched(old, new) | set(ours)):
        if not in_force(node, path, at(new, path)):
            needs[force_of(path)].append(pointer(path))
    return needs


def _action(needs: Mapping[Force, list[str]], restart: Restart) -> Force:
    """The least force that does it, and no more than is allowed."""
    needed = max((force for force, names in needs.items() if names), default=Force.NOTHING)
    if needed is not Force.RESTART or restart == "auto":
        return needed
    if restart == "never":
        raise Problem(
            "needs a restart of dockerd, which is not allowed here",
            got=", ".join(needs[Force.RESTART]),
            todo='allow it, leave it owed with gvisor_restart = "reload", or leave the keys alone',
        )
    return Force.RELOAD if needs[Force.RELOAD] else Force.NOTHING


def _owed(
    needs: Mapping[Force, list[str]], started: Mapping[str, Json] | None, new: Mapping[str, Json]
) -> tuple[str, ...]:
    """What only a restart would bring into force: ours, and what others have changed since."""
    owed = set(needs[Force.RESTART])
    said = {from_pointer(name)[0] for name in owed}
    now = read_keys(new, Force.RESTART)
    then = now if started is None else started
    changed = {key for key in then.keys() | now.keys() if not same(then.get(key), now.get(key))}
    return tuple(sorted(owed | {pointer((key,)) for key in changed - said}))


def _reasons(
    needs: Mapping[Force, list[str]], restart: Restart, *, in_file: bool
) -> tuple[str, ...]:
    """Why that force, a line for each kind."""
    reasons = []
    if names := ", ".join(needs[Force.RESTART]):
        file = " (already in the file, but dockerd was started without it)" if in_file else ""
        reasons.append(
            f"restart, because dockerd reads only at start{file}: {names}"
            if restart == "auto"
            else f"a restart of dockerd stays owed, until then without effect: {names}"
        )
    if names := ", ".join(needs[Force.RELOAD]):
        reasons.append(f"reload (SIGHUP) is enough for: {names}")
    every = sorted(name for names in needs.values() for name in names)
    if kept := ", ".join(name for name in every if only_new_containers(from_pointer(name))):
        reasons.append(f"containers that exist keep their old value of: {kept}")
    return tuple(reasons)


def _touched(old: Mapping[str, Json], new: Mapping[str, Json]) -> set[Path]:
    """The paths whose values differ, as deep as ``flatten`` goes."""
    before, after = flatten(old), flatten(new)
    return {
        path
        for path in before.keys() | after.keys()
        if not same(before.get(path, {}), after.get(path, {}))
    }


def _neutral(before: str | None, after: str | None, owned: Owned, node: Node) -> str | None:
    """The text that first makes keys ineffective which ``after`` leaves out, if there are any."""
    neutral = neutral_values(dockerd_version(node))
    old = {} if before is None else JsonText(before).value
    document = JsonText(EMPTY if after is None else after)
    were = {*old, *(from_pointer(name)[0] for name in owned.paths)}
    gone = [key for key in neutral if key in were and key not in document.value]
    gone = [key for key in gone if key not in old or not same(old[key], neutral[key])]
    if not gone:
        return None
    for key in gone:
        document = document.set((key,), neutral[key])
    return document.text


def dump(value: object) -> str:
    """One line of JSON with a newline, as our own records on the node are written."""
    return json.dumps(value, separators=(",", ":")) + "\n"
