"""
Undo everything that this package did: daemon.json to the byte, releases, wrappers, records.

.. code:: shell

    pyinfra inventories/run.py deploys/remove.py --dry --diff
    pyinfra inventories/run.py deploys/remove.py
"""

from pyinfra import host
from pyinfra.api import deploy

from pyinfra_gvisor.coolify.settings import GROUP
from pyinfra_gvisor.daemon_json.merge import GVISOR
from pyinfra_gvisor.deploys.checks import checked_removal
from pyinfra_gvisor.deploys.coolify import take_back
from pyinfra_gvisor.facts.node import read_node
from pyinfra_gvisor.operations import docker, egress, gvisor, kernel, resolver, watch


@deploy("Remove gVisor")
def remove() -> None:
    """Coolify's source, what stands around the sandbox, daemon.json's keys, what these point at."""
    settings = checked_removal(host)
    if settings is None:
        return
    if GROUP in host.groups:
        take_back()
    node = read_node(host)
    if node is not None and node.watch.there:
        watch.watch(wanted=False, name="Remove the watch")
    if node is not None and node.egress.there:
        egress.rules(wanted=None, name="Remove the firewall")
    if node is not None and node.surface.there:
        kernel.surface(wanted=None, name="Give the kernel's settings back")
    docker.daemon_json(
        wanted={},
        owner=GVISOR,
        restart=settings.restart,
        timeout_s=settings.apply_timeout_s,
        wait_s=settings.restart_wait_s,
        name="Give daemon.json back",
    )
    node = read_node(host)
    if node is not None and node.resolver.there:
        resolver.resolver(wanted=False, name="Remove the resolver")
    gvisor.absent(name="Remove releases, wrappers and records")


if not __name__.startswith("pyinfra_gvisor."):
    import pyinfra_gvisor.deploys.remove  # noqa: F401 - see deploys/gvisor.py

    remove()
