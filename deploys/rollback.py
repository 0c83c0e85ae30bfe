"""
Go back to daemon.json and the release before the last change, or before an earlier one.

.. code:: shell

    pyinfra inventories/run.py deploys/rollback.py --dry --diff
    pyinfra inventories/run.py deploys/rollback.py --data gvisor_generation=3
"""

from pyinfra import host
from pyinfra.api import deploy

from pyinfra_gvisor.deploys.undoing import checked_rollback
from pyinfra_gvisor.operations import docker, gvisor, keeper


@deploy("Roll back")
def roll_back() -> None:
    """Restore a generation of daemon.json, prove isolation again, and update the runsc link."""
    back = checked_rollback(host)
    if back is None:
        return
    settings = back.settings
    docker.generation(
        number=back.number,
        keep_running=settings.retained_runtimes,
        restart=settings.restart,
        restart_units=settings.restart_units,
        timeout_s=settings.apply_timeout_s,
        wait_s=settings.restart_wait_s,
        name=f"Restore generation {back.number}",
    )
    if back.release:
        gvisor.proof(
            version=back.release,
            profiles=back.profiles,
            when=settings.proof,
            risks=back.risks,
            rows=settings.proof_rows,
            name="Prove isolation",
        )
        gvisor.link(version=back.release, name="Update the runsc link")
    if back.kept:
        keeper.rolled_back(settings, back.kept)


if not __name__.startswith("pyinfra_gvisor."):
    import pyinfra_gvisor.deploys.rollback  # noqa: F401 - see deploys/gvisor.py

    roll_back()
