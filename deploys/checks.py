"""Before the first change: read the host's settings, and refuse what cannot work on its node."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakSet

from pyinfra import logger
from pyinfra.api import Host, State
from pyinfra.api.output import format_text

from pyinfra_gvisor.base.errors import Problem, sentence
from pyinfra_gvisor.base.groups import KNOWN, refuse_groups
from pyinfra_gvisor.facts.asking import why_unread
from pyinfra_gvisor.facts.node import read_node, remember
from pyinfra_gvisor.facts.users import asking
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.planning.controller import report_problem
from pyinfra_gvisor.planning.ignored import (
    GROUP_DATA,
    OperatorFiles,
    ignored,
    shown_path,
    sort_files,
)
from pyinfra_gvisor.planning.preflight import accepted_risks, notes, refusals
from pyinfra_gvisor.rollout.own import changed_since_planned
from pyinfra_gvisor.run_support.ending import (
    close_with_summary,
    count_containers,
    is_refused,
    without_place,
)
from pyinfra_gvisor.run_support.messages import fail_now
from pyinfra_gvisor.run_support.reports import begin, ends_after_plan, missed
from pyinfra_gvisor.settings import PREFIX, Settings, load_settings

T = TypeVar("T")

LoadSettings = Callable[[Mapping[str, Any]], tuple[Settings | None, dict[str, str]]]

_TOLD: WeakSet[State] = WeakSet()


def checked_settings(host: Host) -> Settings | None:
    """
    Return a host's settings; None if the host was refused, with every reason said.

    To be called in the deploy itself: pyinfra runs it for every host before the first operation,
    whatever its options are.
    """
    begin(host, "deploy")
    close_with_summary(host, "deploy")
    settings = host_settings(host)
    node = None if settings is None else known_node(host)
    if settings is None or node is None:
        return None
    refused = [
        *changed_since_planned(host.name, settings),
        *waiver_refusals(settings),
        *refusals(node, settings, asking(host)),
    ]
    if refused:
        fail(host, *(problem.at("preflight", what, host.name) for what, problem in refused))
        return None
    for line in (*accepted_risks(settings), *notes(node)):
        host.log(format_text(line, "yellow"), logger.warning)
    return settings


def waiver_refusals(settings: Settings) -> list[tuple[str, Problem]]:
    """Return a problem for each waiver that names no rule, with its setting."""
    if not settings.waivers:
        return []
    # Most runs have no waiver, and the rules take long to import.
    from pyinfra_gvisor.audit.judge import unknown_waivers  # noqa: PLC0415

    return [
        ("gvisor_waivers", Problem("no audit rule has this id", got=key, todo=todo))
        for key, todo in unknown_waivers(settings.waivers).items()
    ]


def audited_settings(host: Host) -> Settings | None:
    """Return the settings of a host that is audited; None if it was refused, with the reasons."""
    begin(host, "audit")
    close_with_summary(host, "audit")
    settings = host_settings(host)
    problem = None if settings is None else report_problem(settings.report_dir)
    if problem:
        fail(host, problem.at("preflight", "gvisor_report_dir", host.name))
        return None
    return settings


def host_settings(host: Host, load: LoadSettings = load_settings) -> Settings | None:
    """
    Return a host's settings; None if they are wrong: the host fails, with every reason said.

    + load: returns the settings in a host's data, and problems
    """
    _say_no_plan(host)
    settings, reasons = settings_or_reasons(host, operator_files(), load)
    if settings is None:
        fail(host, *reasons)
    elif load is load_settings:
        remember(host, settings)
    return settings


def settings_or_reasons(
    host: Host, files: OperatorFiles, load: LoadSettings = load_settings
) -> tuple[Settings | None, list[str]]:
    """
    Return a host's settings, or None and every reason why they are wrong.

    + files: whatever an operator has written for the run
    + load: as in ``host_settings``
    """
    problem = elsewhere(files, Path.cwd()) or misplaced(host, files)
    if problem:
        return None, [problem.at("preflight", "inventory", host.name)]
    settings, problems = load(host.data.dict())
    reasons = [f"{origin(host, key)}: {key}: {text}" for key, text in problems.items()]
    filled = [group for group, hosts in host.inventory.groups.items() if hosts]
    reasons += map(str, ignored(files, filled))
    reasons += outweighed(host)
    return (None if reasons else settings), reasons


def outweighed(host: Host) -> Iterator[str]:
    """
    Yield why settings of a host's group do not count: a larger group, which has all of its hosts,
    says otherwise, and the later list of an inventory wins.
    """
    groups = host.inventory.groups
    for at, group in enumerate(host.groups):
        data = host.inventory.get_group_data(group)
        for later in host.groups[at + 1 :]:
            if not {*groups[group]} < {*groups[later]} or group == "all":
                continue
            other = host.inventory.get_group_data(later)
            for key in (key for key in data if key.startswith("gvisor_") and key in other):
                if data[key] != other[key] and origin(host, key) == _group_data_file(later):
                    where = f"{_group_data_file(group)}: {key}"
                    what = f"{_group_data_file(later)} outweighs it, for {later} is defined later"
                    yield f"{where}: {what}; define {group} after it: {group} = {later}[:1]"


def elsewhere(files: OperatorFiles, directory: Path) -> Problem | None:
    """
    Return why a run does not have the settings of its fleet; None if it does.

    + directory: where pyinfra was started. It reads only this directory's config.py and group_data
    """
    for path in files.ran:
        root = path.resolve().parent.parent
        settings = root / GROUP_DATA
        read = {item.resolve().parent for item in files.group_data}
        if path.parent.name == "inventories" and settings.is_dir() and settings not in read:
            what = f"the settings in {settings} are not read in {directory}"
            return Problem(what, todo=f"start pyinfra in {root}, or give --group-data {settings}")
    return None


def misplaced(host: Host, files: OperatorFiles | None = None) -> Problem | None:
    """Return why the host's groups do not tell what it is used for; None if they do."""
    ran = {path.stem for path in (files or operator_files()).ran}
    named = [  # not @local and the like, and not the group that pyinfra names after the file
        group
        for group in host.groups
        if not group.startswith("@") and (group in KNOWN or group not in ran)
    ]
    declared = any(key.startswith(PREFIX) for key in host.data.dict())
    try:
        refuse_groups(named, declared=declared)
    except Problem as problem:
        return problem
    return None


def _say_no_plan(host: Host) -> None:
    """Warn once a run that with ``-y`` pyinfra makes no plan, even if the run ends after it."""
    state = host.state
    if ends_after_plan(state) and not state.check_for_changes and state not in _TOLD:
        _TOLD.add(state)
        logger.warning(
            "    With -y pyinfra does not look for changes, so there is no plan. For a plan, use "
            "--dry without -y (PYINFRA_YES)"
        )


def known_node(host: Host, settings: Settings | None = None) -> Node | None:
    """
    Return a host's node; fail the host if its state cannot be read.

    + settings: as in ``read_node``
    """
    node = known(host, read_node(host, settings), "the node's state")
    if node is not None:
        count_containers(host, node)
    return node


def known(host: Host, found: T | None, what: str) -> T | None:
    """Return ``found``; fail the host if it is None, because pyinfra goes on without it."""
    if found is None:
        todo = "run again with -vvv to see the node's answer"
        problem = why_unread(host) or Problem(f"{what} cannot be read", todo=todo)
        fail(host, problem.at("preflight", "node", host.name))
    return found


def fail(host: Host, *reasons: str) -> None:
    """Fail a host before anything was changed on it, and say every reason."""
    for reason in reasons:
        text = f"{sentence(reason)} Nothing was changed."
        host.log(format_text(text, "red"), logger.error)
        is_refused(host, without_place(host, reason))
    missed(host)
    fail_now(host)


def origin(host: Host, key: str) -> str:
    """Return the file that sets a key of a host's data, in pyinfra's order of precedence."""
    if key in host.inventory.get_override_data():
        return "--data"
    if key in host.host_data:
        return f"inventory, host {host.name}"
    for group in reversed(host.groups):  # if two groups set a key, the later group wins
        if key in host.inventory.get_group_data(group):
            return _group_data_file(group)
    return _group_data_file("all")


def _group_data_file(group: str) -> str:
    """Return the group's file for messages: pyinfra itself does not keep it."""
    for path in operator_files().group_data:
        if path.stem == group:
            return shown_path(path)
    return f"{GROUP_DATA}/{group}.py"


def operator_files(more: Iterable[Path] = ()) -> OperatorFiles:
    """
    Return the files that pyinfra has run: config, inventory, group data, deploys.

    + more: files that a run would execute as well
    """
    codes = getattr(sys.modules.get("pyinfra_cli.util"), "PYTHON_CODES", {})
    return sort_files((*map(Path, codes), *more), set(_group_data_options(sys.argv)))


def _group_data_options(words: Sequence[str]) -> Iterator[Path]:
    # Not from click: its context is lost in the greenlets in which pyinfra runs deploys.
    for word, following in pairwise((*words, "")):
        option, equals, value = word.partition("=")
        if option == "--group-data":
            yield Path(value if equals else following)
