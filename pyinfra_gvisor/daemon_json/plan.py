"""Plan the changes of a node's daemon.json and dockerd from one ``Node``."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import (
    EMPTY,
    Json,
    JsonText,
    Path,
    from_pointer,
    is_blank,
    pointer,
)
from pyinfra_gvisor.daemon_json.effective import at, in_force, known, read_keys
from pyinfra_gvisor.daemon_json.keys import (
    Force,
    Version,
    force_of,
    neutral_values,
    only_new_containers,
)
from pyinfra_gvisor.daemon_json.merge import CANARY, GVISOR, Merge, Owned, flatten, merge, same
from pyinfra_gvisor.daemon_json.reach import USERLAND_PROXY, Lost, needs_proxy, proxied
from pyinfra_gvisor.daemon_json.records import owned_by_us
from pyinfra_gvisor.daemon_json.refusals import (
    can_live_restore,
    ends_units,
    refuse,
    refuse_firewall_change,
    refuse_loss,
    refuse_moving,
)
from pyinfra_gvisor.daemon_json.reload import lost_at_reload, refuse_unloadable
from pyinfra_gvisor.daemon_json.removed_runtimes import leaving, with_staying
from pyinfra_gvisor.daemon_json.runtime_users import Ask, users_by_runtime
from pyinfra_gvisor.daemon_json.validation import dockerd_version
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.runtimes.profiles import DEFAULT_RUNTIME

Restart = Literal["auto", "reload", "never"]
STATE_ADVICE = {
    "unreadable": ("cannot be read", "connect as root or with sudo"),
    "directory": ("is a directory", "remove the directory, or move its content"),
    "special": ("is not a regular file", "move this file away"),
    "dangling": ("is a symbolic link without a target", "remove the link or restore its target"),
    "not utf-8": ("is not UTF-8 text", "correct the file by hand"),
}
BLANK_SINCE: Version = (23, 0)  # moby/moby#42393; older versions end with "EOF"


@dataclass(frozen=True)
class Plan:
    """
    What to write to daemon.json, and how to apply it.

    + before, after: the texts of the file; None for no file
    + owned: the new record of our paths
    + action: the force that applies the change
    + reasons: why that force, a line each
    + neutral: written and loaded before ``after``, if a key that is left out would stay live
    + back: the same for the way back, written and loaded before ``before``
    + drifted, left: paths that somebody else has changed, see ``Merge``
    + unapplied: paths that take effect only when dockerd is restarted, which this plan does not do
    + postponed: whether one of these paths is ours
    + live_restore: whether a restart can be made with live-restore on, whatever the file says
    + started_with: the keys that dockerd will have read at its start; None if unknown
    + loaded: the keys that dockerd will have read when it last loaded the file; None if unknown
    + lost: published ports that clients lose when this restart, or a later one, ends docker-proxy;
      None if docker-proxy does not end
    + spared: published ports for which docker-proxy stays
    + leaving: runtimes that dockerd will not know any more
    + kept: runtimes that are not declared but stay, with the containers that need them
    + restart_units: units whose docker clients, and so their containers, a restart may end
    + record: whether our record changes
    + generation: the number of the generation that this plan goes back to
    + rollout: the id of the rollout that this plan is a part of
    + temporary: no generation is kept of this change
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
    unapplied: tuple[str, ...] = ()
    postponed: bool = False
    live_restore: bool = True
    started_with: Mapping[str, Json] | None = None
    loaded: Mapping[str, Json] | None = None
    lost: tuple[Lost, ...] | None = None
    spared: tuple[Lost, ...] = ()
    leaving: tuple[str, ...] = ()
    kept: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    restart_units: tuple[str, ...] = ()
    record: bool = False
    generation: int | None = None
    rollout: str = ""
    temporary: bool = False

    @property
    def changes(self) -> bool:
        """Return True if there is anything to do, even if only our record changes."""
        return self.before != self.after or self.action > Force.NOTHING or self.record


def plan_daemon_json(  # noqa: PLR0913 - all but two are keywords
    node: Node,
    wanted: Mapping[str, Json],
    *,
    if_absent: Mapping[str, Json] | None = None,
    owner: str = GVISOR,
    spare_ports: bool = False,
    restart: Restart = "auto",
    restart_units: Collection[str] = (),
    staying: Collection[str] = (),
) -> Plan:
    """
    Return the plan that sets the keys in ``wanted``, and leaves all keys of others unchanged.

    + if_absent: keys to set only if the node's file does not have them
    + owner: the owner of these keys; the keys of other owners stay as they are
    + spare_ports: do not change ``userland-proxy`` if clients would lose a published port
    + restart: ``auto`` restarts dockerd if a key needs a restart, or if this dockerd would lose
      something at a reload; ``reload`` writes such a key without a restart, ``never`` refuses it
    + restart_units: units whose docker clients, and so their containers, a restart may end
    + staying: runtimes whose entries stay as they are, declared or not

    Raises ``Problem`` if the file is not valid, or dockerd could not work with the result.
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
    merged = _merged(before, owned, paths, owner, if_absent=missing.keys() - wanted.keys())
    refuse_unloadable(node, wanted, JsonText(merged.text or EMPTY).value)
    ours = {*paths, *owned.of(owner)}
    plan = plan_merged(node, merged, paths, ours=ours, restart=restart, restart_units=restart_units)
    if spared:
        _refuse_lost_ports(plan)
    return replace(plan, spared=spared, restart_units=tuple(restart_units))


class Planning(Protocol):
    """A function that makes a plan in which the runtimes ``staying`` keep their entries."""

    def __call__(self, *, staying: Collection[str] = ()) -> Plan:
        """Return the plan. Raises ``Problem`` if no plan is possible."""


def plan_around_users(
    planning: Planning, ask: Ask, *, keep_running: bool | Collection[str]
) -> Plan:
    """
    Return the plan that removes no runtime that a container, running or stopped, uses.

    + ask: lists the containers; called only if a runtime would be removed
    + keep_running: keep such a runtime, instead of refusing the plan; names: only for these

    Raises ``Problem`` with the containers' names if such a runtime would be removed.
    """
    plan = planning()
    used = users_by_runtime(plan.leaving, ask()) if plan.leaving else {}
    if not used:
        return plan
    staying = tuple(used)
    if not isinstance(keep_running, bool):
        staying = tuple(name for name in used if name in keep_running)
    elif not keep_running:
        staying = ()
    kept = planning(staying=staying) if staying else plan
    lost = [name for name in used if name in kept.leaving]
    if lost:
        needed = [f"{name} (these need it to start: {', '.join(used[name])})" for name in lost]
        raise Problem(
            f"the change would remove runtimes that containers need: {'; '.join(needed)}",
            todo=_how_to_free(lost, keep_running=keep_running is True),
        )
    return replace(kept, kept=used)


def _how_to_free(lost: Collection[str], *, keep_running: bool) -> str:
    """Return what to do about runtimes that would be removed although containers need them."""
    if keep_running:
        return "add these runtimes to the file, or recreate or remove these containers"
    keeps = "gvisor_keep_running = True keeps the runtimes until no container needs them"
    if DEFAULT_RUNTIME in lost:  # recreated before that, they would need it again
        off = 'set gvisor_default = "off" and gvisor_seal = None, and run pyinfra-gvisor apply'
        return f"{off}. Then recreate or remove these containers; {keeps}"
    return (
        f"keep these runtimes in gvisor_runtimes, or recreate or remove these containers; {keeps}"
    )


def plan_merged(  # noqa: PLR0913 - all but three are keywords
    node: Node,
    merged: Merge,
    paths: Mapping[Path, Json],
    *,
    ours: Collection[Path],
    restart: Restart = "auto",
    restart_units: Collection[str] = (),
) -> Plan:
    """
    Return the plan that writes a merged file and applies it.

    + paths: the paths that are wanted in the file, with their values
    + ours: paths that must be in effect afterwards, in addition to those that change
    """
    before, owned = current_text(node), owned_by_us(node)
    refuse(node, after_value := _value(merged.text), paths)
    needs, started = _needs(node, before, merged, ours), known(node, Force.RESTART)
    action = _action(node, needs, restart, restart_units)
    _refuse_harm(node, action, _value(before), after_value, ours)
    unapplied = () if action is Force.RESTART else _unapplied(needs, started, after_value)
    return Plan(
        before=before,
        after=merged.text,
        owned=merged.owned,
        action=action,
        reasons=_reasons(node, needs, action, in_file=before == merged.text),
        neutral=_neutral(before, merged.text, owned, node) if action is Force.RELOAD else None,
        back=_neutral(merged.text, before, merged.owned, node),
        drifted=merged.drifted,
        left=merged.left,
        unapplied=unapplied,
        postponed=bool(needs[Force.RESTART]) and action is not Force.RESTART,
        live_restore=can_live_restore(node),
        started_with=read_keys(after_value, Force.RESTART) if action is Force.RESTART else started,
        loaded=read_keys(after_value, Force.RELOAD) if action else known(node, Force.RELOAD),
        lost=_lost(node, after_value, action, unapplied),
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
    """Raise ``Problem`` if the action would harm running containers."""
    if action is Force.RESTART or ("firewall-backend",) in ours:
        refuse_firewall_change(node, new)
    if action is not Force.NOTHING:
        refuse_moving(node, old, new)


def _refuse_lost_ports(plan: Plan) -> None:
    """Raise ``Problem`` if a restart ends docker-proxy because the file already switches it off."""
    if plan.lost and plan.action is Force.RESTART:
        raise Problem(
            "a restart would end docker-proxy, because daemon.json switches it off. Clients would "
            f"lose {', '.join(map(str, plan.lost))}",
            todo='remove "userland-proxy" from daemon.json to keep docker-proxy; or set '
            'gvisor_daemon_json = {"userland-proxy": False} to lose these ports',
        )


def _lost(
    node: Node, new: Mapping[str, Json], action: Force, unapplied: Collection[str]
) -> tuple[Lost, ...] | None:
    """Return the ports that end with docker-proxy, None if a restart does not end docker-proxy."""
    restarts = action is Force.RESTART or pointer((USERLAND_PROXY,)) in unapplied
    ends = restarts and new.get(USERLAND_PROXY) is False and proxied(node)
    return needs_proxy(node) if ends else None


def current_text(node: Node) -> str | None:
    """Return the text of daemon.json, None for no file. Raises ``Problem`` if it cannot be read."""
    state = node.daemon_json.state
    if state in STATE_ADVICE:
        what, todo = STATE_ADVICE[state]
        raise Problem(what, todo=todo)
    text, version = node.daemon_json.text, dockerd_version(node)
    if text is not None and is_blank(text) and version is not None and version < BLANK_SINCE:
        what = "the file is empty, and Docker before 23.0 does not start with an empty file"
        raise Problem(what, todo="write {} or remove the file")
    return text


def _merged(
    before: str | None,
    owned: Owned,
    paths: Mapping[Path, Json],
    owner: str,
    *,
    if_absent: Collection[str],
) -> Merge:
    """Return the merge, with a record of which keys are set because the file lacked them."""
    merged = merge(before, owned, paths, owner=owner)
    record = merged.owned.marked(if_absent if owner == GVISOR else owned.if_absent)
    return merged.model_copy(update={"owned": record})


def _missing(
    text: str | None, owned: Owned, if_absent: Mapping[str, Json], owner: str
) -> dict[str, Json]:
    there = _value(text)
    ours = {path[0] for path in owned.of(owner)}
    missing = {key: value for key, value in if_absent.items() if key not in there or key in ours}
    # log-opts belong to one driver: another driver refuses them, and then dockerd does not start.
    if (
        not same(there.get("log-driver"), if_absent.get("log-driver"))
        and "log-driver" not in missing
    ):
        missing.pop("log-opts", None)
    return missing


def _needs(
    node: Node, before: str | None, merged: Merge, ours: Collection[Path]
) -> dict[Force, list[str]]:
    """Return the paths that are not in effect yet, by the force that applies them."""
    old = _value(before)
    new = _value(merged.text)
    needs: dict[Force, list[str]] = {Force.RELOAD: [], Force.RESTART: []}
    for path in sorted(_touched(old, new) | set(ours)):
        if not in_force(node, path, at(new, path)):
            needs[force_of(path)].append(pointer(path))
    return needs


def _action(
    node: Node,
    needs: Mapping[Force, list[str]],
    restart: Restart,
    restart_units: Collection[str],
) -> Force:
    """Return the least force that applies everything. Raises ``Problem`` if it is not allowed."""
    needed = max((force for force, names in needs.items() if names), default=Force.NOTHING)
    if needed is Force.RELOAD and restart == "auto" and _loses_by_reload(node, restart_units):
        return Force.RESTART
    if needed is Force.RESTART and restart == "auto":
        refuse_loss(node, restart_units)
    if needed is not Force.RESTART or restart == "auto":
        return needed
    if restart == "never":
        raise Problem(
            "the change needs a restart of dockerd, which is not allowed here",
            got=", ".join(needs[Force.RESTART]),
            todo='set gvisor_restart = "auto", or "reload" to write the keys without a restart; or '
            "remove these keys from the declaration",
        )
    return Force.RELOAD if needs[Force.RELOAD] else Force.NOTHING


def _loses_by_reload(node: Node, restart_units: Collection[str]) -> bool:
    """Return True if a reload loses something that a restart keeps."""
    keeps = can_live_restore(node) and not ends_units(node, restart_units)
    return keeps and lost_at_reload(node) is not None


def _unapplied(
    needs: Mapping[Force, list[str]], started: Mapping[str, Json] | None, new: Mapping[str, Json]
) -> tuple[str, ...]:
    """Return the paths, ours and others', that changed since dockerd started and need a restart."""
    ours = set(needs[Force.RESTART])
    said = {from_pointer(name)[0] for name in ours}
    now = read_keys(new, Force.RESTART)
    then = now if started is None else started
    changed = {key for key in then.keys() | now.keys() if not same(then.get(key), now.get(key))}
    return tuple(sorted(ours | {pointer((key,)) for key in changed - said}))


def _reasons(
    node: Node, needs: Mapping[Force, list[str]], action: Force, *, in_file: bool
) -> tuple[str, ...]:
    """Return why this force is needed, a line for each kind."""
    reasons = []
    if names := ", ".join(needs[Force.RESTART]):
        file = " (already in the file, but dockerd was started without them)" if in_file else ""
        reasons.append(
            f"restart, because dockerd reads these keys only at its start{file}: {names}"
            if action is Force.RESTART
            else f"take effect when dockerd is restarted: {names}"
        )
    if names := ", ".join(needs[Force.RELOAD]):
        instead = action is Force.RESTART and not needs[Force.RESTART]
        how = f"restart, because {lost_at_reload(node)}" if instead else "reload (SIGHUP) applies"
        reasons.append(f"{how}: {names}")
    every = sorted(name for names in needs.values() for name in names)
    if kept := ", ".join(name for name in every if only_new_containers(from_pointer(name))):
        reasons.append(f"existing containers keep the old value until they are recreated: {kept}")
    return tuple(reasons)


def _touched(old: Mapping[str, Json], new: Mapping[str, Json]) -> set[Path]:
    """Return the paths, as ``flatten`` names them, whose values differ."""
    before, after = flatten(old), flatten(new)
    return {
        path
        for path in before.keys() | after.keys()
        if not same(before.get(path, {}), after.get(path, {}))
    }


def _neutral(before: str | None, after: str | None, owned: Owned, node: Node) -> str | None:
    """Return ``after`` with neutral values for the keys that it removes; None if none needs one."""
    neutral = neutral_values(dockerd_version(node))
    old = _value(before)
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
    """Return one line of JSON with a newline, the form of our records on the node."""
    return json.dumps(value, separators=(",", ":")) + "\n"


def _value(text: str | None) -> Mapping[str, Json]:
    """Return the object in daemon.json, an empty one for no file."""
    return {} if text is None else JsonText(text).value
