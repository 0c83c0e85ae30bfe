"""
From any Docker node to proven gVisor isolation.

.. code:: shell

    pyinfra inventories/run.py deploys/gvisor.py --dry --diff
    pyinfra inventories/run.py deploys/gvisor.py
"""

from pyinfra import host
from pyinfra.api import deploy

from pyinfra_gvisor.daemon_json.merge import GVISOR
from pyinfra_gvisor.deploys.checks import checked_settings
from pyinfra_gvisor.deploys.parts import have_parts
from pyinfra_gvisor.operations import docker, gvisor, upgrade
from pyinfra_gvisor.preflight import accepted_risks
from pyinfra_gvisor.proof.conditions import no_new_privileges
from pyinfra_gvisor.settings import Settings
from pyinfra_gvisor.wanted import wanted_daemon_json


@deploy("gVisor")
def run_node() -> None:
    """Docker, a runsc release, runtimes, daemon.json and the proof, as the host's data say."""
    settings = checked_settings(host)
    if settings is None:
        return
    version, profiles = settings.release, settings.runtimes
    docker.engine(flavour=settings.docker, name="Have Docker")
    have_parts(settings, "before daemon.json")
    if profiles:
        gvisor.release(version=version, archive=settings.archive, name=f"Install runsc {version}")
        gvisor.runtimes(version=version, profiles=profiles, name="Write runtime wrappers")
        _try_release(settings)
    docker.daemon_json(
        wanted=wanted_daemon_json(settings),
        owner=GVISOR,
        if_absent=settings.daemon_json_defaults(),
        spare_ports=settings.spares_ports,
        keep_running=settings.keep_running,
        restart=settings.restart,
        timeout_s=settings.apply_timeout_s,
        wait_s=settings.restart_wait_s,
        name="Bring daemon.json into force",
    )
    have_parts(settings, "before the proof")
    if profiles:
        _prove(settings)
        gvisor.link(version=version, name="Point the link for people at it")
        upgrade.collection(
            version=version, keep=settings.keep_releases, name="Remove releases that nothing needs"
        )
    have_parts(settings, "last")
    if settings.report_dir or settings.textfile_dir:
        # Most runs write none, and the modules take a twentieth of what pyinfra takes to start.
        from pyinfra_gvisor.operations import audit  # noqa: PLC0415

        audit.findings(settings=settings, by="deploy", enforce=False, name="Report what is there")


def _try_release(settings: Settings) -> None:
    if settings.proof != "never":
        upgrade.canary(
            version=settings.release,
            profiles=settings.runtimes,
            risks=accepted_risks(settings),
            image=settings.proof_image,
            timeout_s=settings.apply_timeout_s,
            wait_s=settings.restart_wait_s,
            name="Prove the release before it is used",
        )


def _prove(settings: Settings) -> None:
    gvisor.proof(
        version=settings.release,
        profiles=settings.runtimes,
        when=settings.proof,
        risks=accepted_risks(settings),
        image=settings.proof_image,
        no_new_privileges=no_new_privileges(settings),
        declared=settings,
        name="Prove isolation",
    )


if not __name__.startswith("pyinfra_gvisor."):
    # pyinfra asks `inspect` for the stack at every operation on every host, and `inspect` searches
    # all modules for a file that is none of them. As a module this file is found at once, which
    # saves an eighth of the controller's time with 30 hosts.
    import pyinfra_gvisor.deploys.gvisor  # noqa: F401 - imported to be known, not to be used

    run_node()
