"""
Remove everything that this package installed, and restore the original daemon.json to the byte.

.. code:: shell

    pyinfra inventories/run.py deploys/remove.py --dry --diff
    pyinfra inventories/run.py deploys/remove.py
"""

from pyinfra import host
from pyinfra.api import deploy

from pyinfra_gvisor.base.groups import COOLIFY
from pyinfra_gvisor.daemon_json.merge import GVISOR
from pyinfra_gvisor.deploys.coolify import take_back
from pyinfra_gvisor.deploys.parts import remove_parts
from pyinfra_gvisor.deploys.undoing import checked_removal
from pyinfra_gvisor.operations import docker, gvisor


@deploy("Remove gVisor")
def remove() -> None:
    """Undo the steps of a deploy in reverse order: Coolify and the watch first, releases last."""
    settings = checked_removal(host)
    if settings is None:
        return
    if COOLIFY in host.groups:
        take_back()
    remove_parts("last")
    remove_parts("before the proof")
    docker.daemon_json(
        wanted={},
        owner=GVISOR,
        keep_running=settings.keep_running,
        restart=settings.restart,
        restart_units=settings.restart_units,
        timeout_s=settings.apply_timeout_s,
        wait_s=settings.restart_wait_s,
        name="Restore daemon.json",
    )
    remove_parts("around daemon.json")
    remove_parts("before daemon.json")
    gvisor.absent(name="Delete our files")


if not __name__.startswith("pyinfra_gvisor."):
    import pyinfra_gvisor.deploys.remove  # noqa: F401 - see deploys/gvisor.py

    remove()
