"""
gVisor on Docker run nodes: installed, configured, proven, kept and undone with pyinfra.

.. code:: python

    from pyinfra_gvisor import run_node

    run_node()
"""

from importlib import import_module
from typing import Any

DEPLOYS = {
    "run_node": "gvisor",
    "examine_node": "doctor",
    "audit_node": "audit",
    "list_apps": "apps",
    "measure_node": "measure",
    "try_container": "trial",
    "move_containers": "move",
    "list_attempts": "egress",
    "list_infrastructure": "infrastructure",
    "list_generations": "generations",
    "roll_back": "rollback",
    "remove": "remove",
    "run_control_host": "coolify",
}
"""Each deploy's function, and its module in ``pyinfra_gvisor.deploys``."""


def __getattr__(name: str) -> Any:
    """Import a deploy when it is used: pure modules of this package do without pyinfra."""
    if name not in DEPLOYS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"pyinfra_gvisor.deploys.{DEPLOYS[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *DEPLOYS})
