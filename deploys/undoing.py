"""Before a rollback or a removal: refuse what cannot work on the node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from pyinfra.api import Host

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.daemon_json.generations import (
    Generation,
    choose,
    choose_before_rollout,
    choose_release,
    plan_generation,
)
from pyinfra_gvisor.daemon_json.plan import plan_around_users
from pyinfra_gvisor.daemon_json.records import owned_by_us
from pyinfra_gvisor.daemon_json.shared_lists import AUTHORIZATION
from pyinfra_gvisor.deploys.checks import fail, host_settings, known, known_node
from pyinfra_gvisor.facts.generations import Generations
from pyinfra_gvisor.facts.users import asking
from pyinfra_gvisor.judge.rules import PLUGIN
from pyinfra_gvisor.node import DAEMON_JSON, Node
from pyinfra_gvisor.parts import every
from pyinfra_gvisor.parts.divert.state import DivertState
from pyinfra_gvisor.parts.judge.state import JudgeState
from pyinfra_gvisor.parts.keeper.plan import kept_keys, parts_there
from pyinfra_gvisor.parts.keeper.runtimes import Restored
from pyinfra_gvisor.parts.keeper.state import KeeperState
from pyinfra_gvisor.planning.absence import absence_problems
from pyinfra_gvisor.planning.preflight import accepted_risks, engine_problem, preflight
from pyinfra_gvisor.planning.removal import refuse_removal
from pyinfra_gvisor.planning.wanted import plan_without_us
from pyinfra_gvisor.releases import parse_release
from pyinfra_gvisor.run_support.ending import close_with_summary
from pyinfra_gvisor.run_support.messages import tell
from pyinfra_gvisor.runtimes.profiles import DEFAULT_RUNTIME, Runtime
from pyinfra_gvisor.runtimes.wrappers import wrapper
from pyinfra_gvisor.settings import Settings


@dataclass(frozen=True)
class Rollback:
    """
    The state to restore: the number of the generation, its release and its runtimes.

    ``kept`` is what the node's keeper checks from then on; None if it has no keeper.
    """

    settings: Settings
    kept: Restored | None
    number: int
    release: str | None
    profiles: Mapping[str, Runtime]
    risks: tuple[str, ...]


def checked_rollback(host: Host) -> Rollback | None:
    """Return the state to restore; None if the host was refused, with every reason said."""
    close_with_summary(host, "rollback")
    settings = host_settings(host)
    node = None if settings is None else _node_with_docker(host)
    kept = None if node is None else known(host, host.get_fact(Generations), "generations")
    if settings is None or node is None or kept is None:
        return None
    try:
        owned_by_us(node)
        chosen = _chosen(host, kept, node, settings)
        if isinstance(chosen, str):
            tell(chosen)
            return None
        _plan_rollback(host, node, chosen, settings)
    except Problem as problem:
        fail(host, problem.at("rollback", DAEMON_JSON, host.name))
        return None
    of_then = settings_of(chosen, settings)
    has_keeper = node.part(KeeperState).there
    # A rollback leaves the parts alone, but the keeper would check no part that is not declared.
    lowered = absence_problems(node, settings, kept_keys()) if has_keeper else []
    if refused := [*lowered, *preflight(node, of_then), *every.refusals(node, of_then)]:
        fail(host, *(problem.at("rollback", "node", host.name) for problem in refused))
        return None
    return Rollback(
        settings=settings,
        kept=restored_by(chosen, node, settings) if has_keeper else None,
        number=chosen.number,
        release=of_then.release if chosen.releases else None,
        profiles=of_then.proven_runtimes,
        risks=accepted_risks(of_then),
    )


def _chosen(
    host: Host, kept: Sequence[Generation], node: Node, settings: Settings
) -> Generation | str:
    """
    Return the generation to go back to, or why there is none.

    Raises ``Problem`` if there is no such generation, or if one number is given for several hosts.
    """
    if release := host.data.get("rollback_release"):
        return choose_release(kept, node, str(parse_release(str(release))))
    if rollout := host.data.get("rollback_rollout"):
        return choose_before_rollout(kept, node, str(rollout))
    given = host.inventory.get_override_data()
    if "gvisor_generation" in given and sum(map(host.state.is_host_in_limit, host.inventory)) > 1:
        todo = "add --limit with one host, or say --release or --rollout"
        raise Problem("a number means another generation on each host", todo=todo)
    return choose(kept, node, settings.generation)


def restored_by(chosen: Generation, node: Node, settings: Settings) -> Restored:
    """Return what the keeper checks after a rollback to a generation."""
    entries = {name: chosen.values["runtimes", name] for name in chosen.runtimes}
    return Restored(
        parts=parts_there(node, settings),
        runtimes={name: str(it["path"]) for name, it in entries.items() if isinstance(it, dict)},
        default=chosen.values.get(("default-runtime",)) == DEFAULT_RUNTIME,
        release=chosen.releases[-1] if chosen.releases else None,
    )


def settings_of(chosen: Generation, settings: Settings) -> Settings:
    """
    Return the settings as they were in a generation, as far as its daemon.json tells that.

    The options of its runtimes are those that are declared now. The seal is one of them only if the
    generation's wrapper is the same one.
    """
    runtimes: dict[str, Runtime] = {}
    for name, release in chosen.runtimes.items():
        profile = settings.runtimes.get(name, Runtime())
        if chosen.values["runtimes", name] != {"path": wrapper(name, release, profile).path}:
            profile = profile.model_copy(update={"seal": None})
        if name != DEFAULT_RUNTIME:
            runtimes[name] = profile
    is_default = chosen.values.get(("default-runtime",)) == DEFAULT_RUNTIME
    usual = settings.default_runtime
    return settings.model_copy(
        # Nothing is downloaded, so no checksum has to be known. Other parts stay as they are.
        update={
            "release": chosen.releases[-1] if chosen.releases else settings.release,
            "runtimes": runtimes,
            "default": "sandbox" if is_default and runtimes else "off",
            "door": settings.door if _names_door(chosen) else "off",
            "default_runtime": usual if usual in runtimes else None,
            "source": "debian",
            "textfile_dir": None,
        }
    )


def _names_door(chosen: Generation) -> bool:
    """Return True if dockerd asks our plugin in a generation."""
    named = chosen.values.get((AUTHORIZATION,))
    return isinstance(named, list) and PLUGIN in named


def _plan_rollback(host: Host, node: Node, chosen: Generation, settings: Settings) -> None:
    """Raise ``Problem`` if the generation cannot be restored."""
    if node.part(DivertState).there:
        raise Problem(
            'a rollback does not undo gvisor_default = "sandbox-all" for builds and for containers '
            "that ask for runc",
            todo="change gvisor_default or gvisor_release instead, and run pyinfra-gvisor apply",
        )
    if _names_door(chosen) and not node.part(JudgeState).is_asked:
        raise Problem(
            f"in generation {chosen.number} dockerd asks the judge, which is not on this node",
            todo="set gvisor_default, and run pyinfra-gvisor apply",
        )
    if node.pending:  # the interrupted change is ended first; what follows is not known before
        return
    planning = partial(plan_generation, node, chosen, restart=settings.restart)
    planning = partial(planning, restart_units=settings.restart_units)
    plan_around_users(planning, asking(host), keep_running=settings.retained_runtimes)


def checked_removal(host: Host) -> Settings | None:
    """Return a host's settings; None if something still needs gVisor there, with the reasons."""
    close_with_summary(host, "remove")
    settings = host_settings(host)
    node = None if settings is None else _node_with_docker(host)
    if settings is None or node is None:
        return None
    try:
        _plan_removal(host, node, settings)
    except Problem as problem:
        fail(host, problem.at("remove", DAEMON_JSON, host.name))
        return None
    return settings


def _plan_removal(host: Host, node: Node, settings: Settings) -> None:
    """
    Raise ``Problem`` if something on the node still needs what would be removed.

    If a change was interrupted, daemon.json counts as it is now: parts are removed before that
    change is ended.
    """
    keep, ask = settings.keep_running, asking(host)
    plan_without_us(
        node,
        ask,
        restart=settings.restart,
        restart_units=settings.restart_units,
        keep_running=keep,
    )
    if not keep:
        refuse_removal(node)


def _node_with_docker(host: Host) -> Node | None:
    node = known_node(host)
    problem = None if node is None else engine_problem(node, "present")
    if problem:
        fail(host, problem.at("preflight", "node", host.name))
        return None
    return node
