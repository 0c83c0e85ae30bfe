"""
The resolver as a part.

It is installed before the runtimes that use it, and stays until no container uses it.
"""

from __future__ import annotations

from pyinfra_gvisor.daemon_json.plan import Plan
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.part import Part
from pyinfra_gvisor.parts.resolver.plan import lacks
from pyinfra_gvisor.parts.resolver.state import ResolverState
from pyinfra_gvisor.settings import Settings


def names_declared(settings: Settings) -> bool:
    """Return True if a runtime has ``dns``: Docker's DNS on gVisor's own network stack."""
    return any(runtime.dns for runtime in settings.runtimes.values())


def _check(node: Node, _settings: Settings, _plan: Plan | None) -> None:
    problem = lacks(node.part(ResolverState), node.python, init=node.init)
    if problem:
        raise problem


PART = Part(
    "resolver",
    "before daemon.json",
    names_declared,
    _check,
    "systemd, ip, Python 3.10 or later with asyncio and ctypes, and `/` as a shared mount, if a "
    'runtime has `"dns"`',
    "https://docs.python.org/3/library/os.html#os.setns",
)
