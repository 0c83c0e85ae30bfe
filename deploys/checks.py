"""Before the first change: the host's settings, and whether the node can be what they ask for."""

from __future__ import annotations

import sys
from pathlib import Path

from pyinfra import logger
from pyinfra.api import Host

from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.facts.node import read_node
from pyinfra_gvisor.node import DAEMON_JSON
from pyinfra_gvisor.plan import plan_daemon_json
from pyinfra_gvisor.preflight import accepted_risk, preflight
from pyinfra_gvisor.runtimes import wanted_daemon_json
from pyinfra_gvisor.settings import Settings, load_settings


def checked_settings(host: Host) -> Settings | None:
    """
    The settings of a host that may go on, or None with the host failed and every reason logged.

    To be called in the deploy itself: that runs for every host before the first operation does,
    with every flag of pyinfra.
    """
    settings, problems = load_settings(host.data.dict())
    for key, problem in problems.items():
        host.log(f"{origin(host, key)}: {key}: {problem}", logger.error)
    if settings is None or not _fit(host, settings):
        # pyinfra's `host` stands for the host of the moment; what fails is the host itself.
        host.state.fail_hosts({host.inventory.get_host(host.name)})
        return None
    if risk := accepted_risk(settings):
        host.log(risk, logger.warning)
    return settings


def _fit(host: Host, settings: Settings) -> bool:
    node = read_node(host)
    if node is None:
        return False
    refusals = [problem.at("preflight", "node", host.name) for problem in preflight(node, settings)]
    try:
        plan_daemon_json(
            node, wanted_daemon_json(settings), if_absent=settings.daemon_json_defaults()
        )
    except Problem as problem:
        refusals.append(problem.at("preflight", DAEMON_JSON, host.name))
    for refusal in refusals:
        host.log(f"{refusal}. Nothing was changed.", logger.error)
    return not refusals


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
    """pyinfra forgets which file group data came from, but keeps the code of every file it ran."""
    codes = getattr(sys.modules.get("pyinfra_cli.util"), "PYTHON_CODES", {})
    for name in codes:
        path = Path(name)
        if path.parent.name == "group_data" and path.stem == group:
            return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
    return f"group_data/{group}.py"
