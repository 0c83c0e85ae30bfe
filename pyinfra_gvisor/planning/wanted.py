"""The keys of daemon.json that a host's settings declare: hardened keys and runtimes."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.merge import GVISOR
from pyinfra_gvisor.daemon_json.plan import Plan, Restart, plan_around_users, plan_daemon_json
from pyinfra_gvisor.daemon_json.runtime_users import Ask
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.runtimes.wrappers import wrappers
from pyinfra_gvisor.settings import Settings


def wanted_daemon_json(settings: Settings) -> dict[str, Json]:
    """Return all declared keys of daemon.json; ``runtimes`` has wrappers and no arguments."""
    wanted = settings.wanted_daemon_json()
    if settings.runtimes:
        entries = wrappers(settings.release, settings.runtimes, settings.dispatch)
        wanted["runtimes"] = {
            item.runtime: {"path": item.path} for item in entries if item.is_runtime
        }
    return wanted


def plan_for_settings(
    node: Node, settings: Settings, ask: Ask, *, restart: Restart | None = None
) -> Plan:
    """
    Return the plan that makes daemon.json as the settings declare.

    + ask: lists the containers; called only if a runtime would be removed
    + restart: used instead of ``gvisor_restart``

    Raises ``Problem`` if the settings cannot be applied, or a container needs a runtime that would
    be removed.
    """
    planning = partial(
        plan_daemon_json,
        node,
        wanted_daemon_json(settings),
        if_absent=settings.daemon_json_defaults(),
        spare_ports=settings.spares_ports,
        restart=restart or settings.restart,
        restart_units=settings.restart_units,
    )
    return plan_around_users(planning, ask, keep_running=settings.retained_runtimes)


def plan_without_us(
    node: Node,
    ask: Ask,
    *,
    restart: Restart = "reload",
    restart_units: Collection[str] = (),
    keep_running: bool = True,
) -> Plan:
    """
    Return the plan that removes every key of this package's own deploys from daemon.json.

    + ask: lists the containers; called only if a runtime would be removed
    + restart: ``reload`` is enough if only the file matters
    + restart_units: as for ``plan_daemon_json``
    + keep_running: keep runtimes that containers use, instead of refusing the plan

    Raises ``Problem`` if the keys cannot be removed.
    """
    planning = partial(plan_daemon_json, node, {}, owner=GVISOR)
    planning = partial(planning, restart=restart, restart_units=restart_units)
    return plan_around_users(planning, ask, keep_running=keep_running)
