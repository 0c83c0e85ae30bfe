"""
From any Docker node to proven gVisor isolation.

.. code:: shell

    pyinfra inventories/run.py deploys/gvisor.py --dry --diff
    pyinfra inventories/run.py deploys/gvisor.py
"""

from pyinfra import host
from pyinfra.api import deploy

from pyinfra_gvisor.deploys.checks import checked_settings
from pyinfra_gvisor.operations import docker, gvisor
from pyinfra_gvisor.preflight import accepted_risks
from pyinfra_gvisor.runtimes import daemon_json_runtimes, wrappers


@deploy("gVisor")
def run_node() -> None:
    """Docker, a runsc release, runtimes, daemon.json and the proof, as the host's data say."""
    settings = checked_settings(host)
    if settings is None:
        return
    wanted = settings.wanted_daemon_json()
    docker.engine(settings.docker, name="Have Docker")
    if settings.runtimes:
        version, profiles = settings.release, settings.runtimes
        gvisor.release(version, archive=settings.archive, name=f"Install runsc {version}")
        gvisor.runtimes(version, profiles=profiles, name="Write runtime wrappers")
        wanted["runtimes"] = daemon_json_runtimes(wrappers(version, profiles))
    docker.daemon_json(
        wanted,
        if_absent=settings.daemon_json_defaults(),
        timeout_s=settings.apply_timeout_s,
        wait_s=settings.restart_wait_s,
        name="Bring daemon.json into force",
    )
    if settings.runtimes:
        gvisor.proof(
            settings.release,
            profiles=settings.runtimes,
            when=settings.proof,
            risks=accepted_risks(settings),
            name="Prove isolation",
        )


if not __name__.startswith("pyinfra_gvisor."):
    run_node()
