"""
What will fail or differ in gVisor, for each running container. Changes nothing.

.. code:: shell

    pyinfra inventories/run.py deploys/apps.py -y
"""

from pyinfra import host
from pyinfra.api import deploy

from pyinfra_gvisor.apps.outlook import outlooks
from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.deploys.checks import fail, host_settings, known, known_node
from pyinfra_gvisor.facts.apps import RunningApps
from pyinfra_gvisor.facts.asking import get
from pyinfra_gvisor.run_support.results import tell_result


@deploy("Apps")
def list_apps() -> None:
    """Say which containers would fail or differ under the runtime that is declared for them."""
    settings = host_settings(host)
    node = known_node(host) if settings else None
    found = known(host, get(host, RunningApps), "running containers") if node else None
    if settings is None or node is None or found is None:
        return
    try:
        tell_result(host, outlooks(host.name, node, settings, found))
    except Problem as problem:
        fail(host, problem.at("apps", "gvisor_runtimes", host.name))


if not __name__.startswith("pyinfra_gvisor."):
    list_apps()
