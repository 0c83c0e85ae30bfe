"""
Recreate running containers so that they run in gVisor: one at a time, each with a way back.

.. code:: shell

    pyinfra inventories/run.py deploys/move.py --limit run-1 --data 'move_apps=["shop"]'
"""

from pyinfra import host
from pyinfra.api import deploy

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.deploys.checks import fail, host_settings
from pyinfra_gvisor.moves.planned import wanted
from pyinfra_gvisor.operations import move
from pyinfra_gvisor.run_support.ending import close_with_summary


@deploy("Move")
def move_containers() -> None:
    """Move the containers that still run under runc."""
    close_with_summary(host, "move")
    settings = host_settings(host)
    if settings is None:
        return
    keys = ("apps", "watch_s", "max_failed", "failing", "leave_writes")
    try:
        asked = wanted({key: host.data.get(f"move_{key}") for key in keys})
    except Problem as problem:
        fail(host, problem.at("move", "--data", host.name))
        return
    move.apps(asked=asked, settings=settings, name="Move")


if not __name__.startswith("pyinfra_gvisor."):
    move_containers()
