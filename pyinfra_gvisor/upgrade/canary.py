"""
A new release is proven under a temporary name before the runtimes in use are switched to it.

What is registered under that name is the very wrapper that the real name is going to get, so what
is proven is what is switched to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pyinfra_gvisor.daemon_json.merge import CANARY
from pyinfra_gvisor.daemon_json.plan import Plan, plan_daemon_json
from pyinfra_gvisor.daemon_json.text import Json
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.runtimes.profiles import RESERVED_ENDING, Runtime
from pyinfra_gvisor.runtimes.wrappers import wrapper


def canaries(node: Node, version: str, profiles: Mapping[str, Runtime]) -> dict[str, Runtime]:
    """
    The profiles to prove first, by the temporary name: those whose name is in use for another path.

    A name that the live daemon does not know is used by nobody, and is proven as itself.
    """
    known = {} if node.info is None else node.info.runtimes
    return {
        name + RESERVED_ENDING: profile
        for name, profile in profiles.items()
        if name in known and known[name].path != wrapper(name, version, profile).path
    }


def plan_canaries(node: Node, version: str, profiles: Mapping[str, Runtime]) -> Plan:
    """
    The plan that registers ``profiles`` (by temporary name) for ``version``; with none, takes what
    is registered so away. It reloads dockerd and never restarts it.

    Raises ``Problem`` where daemon.json cannot be understood or the outcome cannot work.
    """
    entries: dict[str, Json] = {
        name: {"path": wrapper(name.removesuffix(RESERVED_ENDING), version, profile).path}
        for name, profile in profiles.items()
    }
    wanted: dict[str, Json] = {"runtimes": entries} if entries else {}
    return replace(plan_daemon_json(node, wanted, owner=CANARY, restart="never"), temporary=True)
