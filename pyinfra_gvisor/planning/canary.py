"""
Prove a new release under temporary runtime names before the runtimes in use are switched to it.

The temporary name gets the same wrapper that the real name will get. So what was proven is what
runs after the switch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.merge import CANARY
from pyinfra_gvisor.daemon_json.plan import Plan, Restart, plan_daemon_json
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.runtimes.profiles import RESERVED_ENDING, Runtime
from pyinfra_gvisor.runtimes.wrappers import wrapper


def canaries(node: Node, version: str, profiles: Mapping[str, Runtime]) -> dict[str, Runtime]:
    """
    Return the profiles to prove first, by temporary name: those whose wrapper will change.

    A runtime that the running dockerd does not know is not in use, so it needs no temporary name.
    """
    known = {} if node.info is None else node.info.runtimes
    return {
        name + RESERVED_ENDING: profile
        for name, profile in profiles.items()
        if name in known and known[name].path != wrapper(name, version, profile).path
    }


def plan_canaries(
    node: Node,
    version: str,
    profiles: Mapping[str, Runtime],
    *,
    restart: Restart = "auto",
    restart_units: Collection[str] = (),
) -> Plan:
    """
    Return the plan that registers ``profiles`` (by temporary name) for ``version``.

    + restart: as for ``plan_daemon_json``. dockerd is restarted only if it loses something at a
      reload
    + restart_units: as for ``plan_daemon_json``

    Without profiles the plan removes all temporary runtimes. Raises ``Problem`` if daemon.json is
    not valid, or dockerd could not work with the result.
    """
    entries: dict[str, Json] = {
        name: {"path": wrapper(name.removesuffix(RESERVED_ENDING), version, profile).path}
        for name, profile in profiles.items()
    }
    wanted: dict[str, Json] = {"runtimes": entries} if entries else {}
    plan = plan_daemon_json(
        node, wanted, owner=CANARY, restart=restart, restart_units=restart_units
    )
    return replace(plan, temporary=True)
