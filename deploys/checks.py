"""Before the first change: the host's settings, and whether the node can be what they ask for."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar
from weakref import WeakSet

from pyinfra import logger
from pyinfra.api import Host, State

from pyinfra_gvisor.daemon_json.generations import Generation, choose, plan_generation
from pyinfra_gvisor.daemon_json.plan import plan_around_users
from pyinfra_gvisor.daemon_json.records import owned_by_us
from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.facts.generations import Generations
from pyinfra_gvisor.facts.node import read_node
from pyinfra_gvisor.facts.users import asking
from pyinfra_gvisor.groups import COOLIFY, KNOWN, refuse_groups
from pyinfra_gvisor.node import DAEMON_JSON, Node
from pyinfra_gvisor.operations.reporting import begin, ends_after_plan, missed
from pyinfra_gvisor.parts import every
from pyinfra_gvisor.preflight import accepted_risks, engine_problem, preflight, refusals
from pyinfra_gvisor.removal import refuse_removal
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.settings import PREFIX, Settings, load_settings
from pyinfra_gvisor.wanted import without_us

T = TypeVar("T")

_TOLD: WeakSet[State] = WeakSet()


@dataclass(frozen=True)
class Rollback:
    """Where a host goes back to: the generation, and the release and runtimes that it had."""

    settings: Settings
    number: int
    release: str | None
    profiles: Mapping[str, Runtime]
    risks: tuple[str, ...]


def checked_settings(host: Host) -> Settings | None:
    """
    The settings of a host that may go on, or None with the host failed and every reason logged.

    To be called in the deploy itself: that runs for every host before the first operation does,
    with every flag of pyinfra.
    """
    begin(host, "deploy")
    settings = _settings(host)
    node = None if settings is None else _known(host, read_node(host), "the node's state")
    if settings is None or node is None:
        return None
    refused = refusals(node, settings, asking(host))
    if refused:
        _fail(host, *(problem.at("preflight", what, host.name) for what, problem in refused))
        return None
    for risk in accepted_risks(settings):
        host.log(risk, logger.warning)
    return settings


def audited_settings(host: Host) -> Settings | None:
    """The settings of a host that is only looked at, or None with every reason logged."""
    begin(host, "audit")
    return _settings(host)


def coolify_settings(host: Host) -> Settings | None:
    """
    The settings of a control host of Coolify's; None for any other host, which is passed over.

    A host whose settings are wrong is failed with every reason logged, and so is every host of a
    run in which none is a control host.
    """
    control_hosts = host.inventory.get_group(COOLIFY, None) or ()
    if any(map(host.state.is_host_in_limit, control_hosts)):
        return _settings(host) if COOLIFY in host.groups or _misplaced(host) else None
    what = f"no host is in the group {COOLIFY}"
    todo = f"write Coolify's control host into the list {COOLIFY} of the inventory"
    if control_hosts:
        what, todo = f"no host of the group {COOLIFY} is looked at", "widen --limit to it"
    _fail(host, Problem(what, todo=todo).at("coolify", "inventory", host.name))
    return None


def checked_rollback(host: Host) -> Rollback | None:
    """Where this host goes back to, or None with the host failed and every reason logged."""
    settings = _settings(host)
    node = None if settings is None else _node_with_docker(host)
    kept = None if node is None else _known(host, host.get_fact(Generations), "generations")
    if settings is None or node is None or kept is None:
        return None
    try:
        owned_by_us(node)
        chosen = choose(kept, node, settings.generation)
        _plan_rollback(host, node, chosen, settings)
    except Problem as problem:
        _fail(host, problem.at("rollback", DAEMON_JSON, host.name))
        return None
    release = chosen.releases[-1] if chosen.releases else None
    profiles = {name: settings.runtimes.get(name, Runtime()) for name in chosen.runtimes}
    of_then = settings.model_copy(
        # What is on the node is not fetched: no checksum has to be known. Other parts stay.
        update={
            "release": release or settings.release,
            "runtimes": profiles,
            "source": "debian",
            "textfile_dir": None,
        }
    )
    if refused := [*preflight(node, of_then), *every.refusals(node, of_then)]:
        _fail(host, *(problem.at("rollback", "node", host.name) for problem in refused))
        return None
    return Rollback(
        settings=settings,
        number=chosen.number,
        release=release,
        profiles=profiles,
        risks=accepted_risks(of_then),
    )


def _plan_rollback(host: Host, node: Node, chosen: Generation, settings: Settings) -> None:
    """Raise ``Problem`` if the generation cannot be gone back to."""
    if node.pending:  # it is ended first, and what is to be done is not known before
        return
    planning = partial(plan_generation, node, chosen, restart=settings.restart)
    plan_around_users(planning, asking(host), keep_running=settings.keep_running)


def checked_removal(host: Host) -> Settings | None:
    """The settings of a host that nothing needs gVisor on, or None with every reason logged."""
    settings = _settings(host)
    node = None if settings is None else _node_with_docker(host)
    if settings is None or node is None:
        return None
    try:
        _plan_removal(host, node, settings)
    except Problem as problem:
        _fail(host, problem.at("remove", DAEMON_JSON, host.name))
        return None
    return settings


def _plan_removal(host: Host, node: Node, settings: Settings) -> None:
    """
    Raise ``Problem`` if something still needs what would go.

    Where a change was interrupted that is judged by the file as it is now, because parts of ours go
    before the change is ended.
    """
    keep, ask = settings.keep_running, asking(host)
    without_us(node, ask, restart=settings.restart, keep_running=keep)
    if not keep:
        refuse_removal(node)


def _settings(host: Host) -> Settings | None:
    _say_no_plan(host)
    if misplaced := _misplaced(host):
        _fail(host, misplaced.at("preflight", "inventory", host.name))
        return None
    settings, problems = load_settings(host.data.dict())
    if settings is None:
        _fail(host, *(f"{origin(host, key)}: {key}: {text}" for key, text in problems.items()))
    return settings


def _misplaced(host: Host) -> Problem | None:
    """Return why the inventory does not tell what the host is, None if it does."""
    files = {path.stem for path in _python_files() if path.parent.name != "group_data"}
    named = [  # neither by pyinfra's connectors, such as @local, nor after the inventory's file
        group
        for group in host.groups
        if not group.startswith("@") and (group in KNOWN or group not in files)
    ]
    declared = any(key.startswith(PREFIX) for key in host.data.dict())
    try:
        refuse_groups(named, declared=declared)
    except Problem as problem:
        return problem
    return None


def _say_no_plan(host: Host) -> None:
    """Say once a run that pyinfra skips the plan with ``-y``, also where it ends after the plan."""
    state = host.state
    if ends_after_plan(state) and not state.check_for_changes and state not in _TOLD:
        _TOLD.add(state)
        logger.warning(
            "    With -y pyinfra does not look for changes: there is no plan, and its table stays "
            "empty. Leave out -y (PYINFRA_YES) with --dry"
        )


def _node_with_docker(host: Host) -> Node | None:
    node = _known(host, read_node(host), "the node's state")
    problem = None if node is None else engine_problem(node, "present")
    if problem:
        _fail(host, problem.at("preflight", "node", host.name))
        return None
    return node


def _known(host: Host, found: T | None, what: str) -> T | None:
    """``found``, or None with the host failed: pyinfra lets a command pass that says nothing."""
    if found is None:
        todo = "run again with -vvv to see what the node says"
        _fail(host, Problem(f"{what} cannot be read", todo=todo).at("preflight", "node", host.name))
    return found


def _fail(host: Host, *reasons: str) -> None:
    for reason in reasons:
        host.log(f"{reason.removesuffix('.')}. Nothing was changed.", logger.error)
    missed(host)
    # pyinfra's `host` stands for the host of the moment; what fails is the host itself.
    failed = {host.inventory.get_host(host.name)} - host.state.failed_hosts
    if failed:
        host.state.fail_hosts(failed)


def origin(host: Host, key: str) -> str:
    """The file that a key of a host's data comes from, as pyinfra looks it up."""
    if key in host.inventory.get_override_data():
        return "--data"
    if key in host.host_data:
        return f"inventory, host {host.name}"
    for group in reversed(host.groups):  # of two groups that set a key, the later one counts
        if key in host.inventory.get_group_data(group):
            return _group_data_file(group)
    return _group_data_file("all")


def _group_data_file(group: str) -> str:
    """Return a name for messages: pyinfra forgets which file group data came from."""
    for path in _python_files():
        if path.parent.name == "group_data" and path.stem == group:
            return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
    return f"group_data/{group}.py"


def _python_files() -> list[Path]:
    """Return the files that pyinfra has executed: config, inventory, group data, deploys."""
    return [Path(name) for name in getattr(sys.modules.get("pyinfra_cli.util"), "PYTHON_CODES", {})]
