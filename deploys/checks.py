"""Before the first change: the host's settings, and whether the node can be what they ask for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TypeVar
from weakref import WeakSet

from pyinfra import logger
from pyinfra.api import Host, State

from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.facts.node import read_node
from pyinfra_gvisor.facts.users import asking
from pyinfra_gvisor.groups import COOLIFY, KNOWN, refuse_groups
from pyinfra_gvisor.operations.reporting import begin, ends_after_plan, missed
from pyinfra_gvisor.preflight import accepted_risks, notes, refusals
from pyinfra_gvisor.settings import PREFIX, Settings, load_settings

T = TypeVar("T")

_TOLD: WeakSet[State] = WeakSet()


def checked_settings(host: Host) -> Settings | None:
    """
    The settings of a host that may go on, or None with the host failed and every reason logged.

    To be called in the deploy itself: that runs for every host before the first operation does,
    with every flag of pyinfra.
    """
    begin(host, "deploy")
    settings = host_settings(host)
    node = None if settings is None else known(host, read_node(host), "the node's state")
    if settings is None or node is None:
        return None
    refused = refusals(node, settings, asking(host))
    if refused:
        fail(host, *(problem.at("preflight", what, host.name) for what, problem in refused))
        return None
    for line in (*accepted_risks(settings), *notes(node)):
        host.log(line, logger.warning)
    return settings


def audited_settings(host: Host) -> Settings | None:
    """The settings of a host that is only looked at, or None with every reason logged."""
    begin(host, "audit")
    return host_settings(host)


def coolify_settings(host: Host) -> Settings | None:
    """
    The settings of a control host of Coolify's; None for any other host, which is passed over.

    A host whose settings are wrong is failed with every reason logged, and so is every host of a
    run in which none is a control host.
    """
    control_hosts = host.inventory.get_group(COOLIFY, None) or ()
    if any(map(host.state.is_host_in_limit, control_hosts)):
        return host_settings(host) if COOLIFY in host.groups or _misplaced(host) else None
    what = f"no host is in the group {COOLIFY}"
    todo = f"write Coolify's control host into the list {COOLIFY} of the inventory"
    if control_hosts:
        what, todo = f"no host of the group {COOLIFY} is looked at", "widen --limit to it"
    fail(host, Problem(what, todo=todo).at("coolify", "inventory", host.name))
    return None


def host_settings(host: Host) -> Settings | None:
    """Return a host's settings, or None with the host failed and every reason logged."""
    _say_no_plan(host)
    if misplaced := _misplaced(host):
        fail(host, misplaced.at("preflight", "inventory", host.name))
        return None
    settings, problems = load_settings(host.data.dict())
    if settings is None:
        fail(host, *(f"{origin(host, key)}: {key}: {text}" for key, text in problems.items()))
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


def known(host: Host, found: T | None, what: str) -> T | None:
    """``found``, or None with the host failed: pyinfra lets a command pass that says nothing."""
    if found is None:
        todo = "run again with -vvv to see what the node says"
        fail(host, Problem(f"{what} cannot be read", todo=todo).at("preflight", "node", host.name))
    return found


def fail(host: Host, *reasons: str) -> None:
    """Fail a host before anything was changed on it, with every reason logged."""
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
