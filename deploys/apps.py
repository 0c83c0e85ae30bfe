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
from pyinfra_gvisor.planning.preflight import engine_problem
from pyinfra_gvisor.run_support.ending import close_with_summary
from pyinfra_gvisor.run_support.results import tell_result
from pyinfra_gvisor.settings import load_moved_settings


@deploy("Apps")
def list_apps() -> None:
    """Say which containers would fail or differ under the runtime that is declared for them."""
    close_with_summary(host, "apps")
    settings = host_settings(host, load_moved_settings)
    node = known_node(host, settings) if settings else None
    if settings is None or node is None:
        return
    if problem := engine_problem(node, settings.docker):
        fail(host, problem.at("apps", "Docker", host.name))
        return
    found = known(host, get(host, RunningApps), "running containers")
    if found is None:
        return
    try:
        declared = host.data.get("gvisor_default", "off") != "off"
        tell_result(host, outlooks(host.name, node, settings, found, declared=declared))
    except Problem as problem:
        fail(host, problem.at("apps", "gvisor_runtimes", host.name))


if not __name__.startswith("pyinfra_gvisor."):
    list_apps()
