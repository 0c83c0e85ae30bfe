"""What the settings of a host ask of daemon.json: the hardened keys, and the runtimes."""

from __future__ import annotations

from functools import partial

from pyinfra_gvisor.daemon_json.merge import GVISOR
from pyinfra_gvisor.daemon_json.plan import Plan, Restart, plan_around_users, plan_daemon_json
from pyinfra_gvisor.daemon_json.runtime_users import Ask
from pyinfra_gvisor.daemon_json.text import Json
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.runtimes.wrappers import wrappers
from pyinfra_gvisor.settings import Settings


def wanted_daemon_json(settings: Settings) -> dict[str, Json]:
    """All keys of daemon.json to own: the hardened ones, and a ``runtimes`` without arguments."""
    wanted = settings.wanted_daemon_json()
    if settings.runtimes:
        entries = wrappers(settings.release, settings.runtimes)
        wanted["runtimes"] = {item.runtime: {"path": item.path} for item in entries}
    return wanted


def planned(node: Node, settings: Settings, ask: Ask, *, restart: Restart | None = None) -> Plan:
    """
    Return the plan that gives daemon.json what the settings ask for.

    + ask: lists the containers; called only where a runtime would leave
    + restart: instead of ``gvisor_restart``

    Raises ``Problem`` where the settings cannot be had, or a container needs what would leave.
    """
    planning = partial(
        plan_daemon_json,
        node,
        wanted_daemon_json(settings),
        if_absent=settings.daemon_json_defaults(),
        spare_ports=settings.spares_ports,
        restart=restart or settings.restart,
    )
    return plan_around_users(planning, ask, keep_running=settings.keep_running)


def without_us(
    node: Node, ask: Ask, *, restart: Restart = "reload", keep_running: bool = True
) -> Plan:
    """
    Return the plan that takes everything of this package's own deploys out of daemon.json.

    + ask: lists the containers; called only where a runtime would leave
    + restart: ``reload`` is enough where only the file matters
    + keep_running: keep runtimes that containers use, instead of refusing

    Raises ``Problem`` where that cannot be done.
    """
    planning = partial(plan_daemon_json, node, {}, owner=GVISOR, restart=restart)
    return plan_around_users(planning, ask, keep_running=keep_running)
