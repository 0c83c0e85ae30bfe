"""
From any Docker node to proven gVisor isolation.

.. code:: shell

    pyinfra inventories/run.py deploys/gvisor.py --dry --diff
    pyinfra inventories/run.py deploys/gvisor.py
"""

from functools import partial

from pyinfra import host
from pyinfra.api import deploy

from pyinfra_gvisor.daemon_json.merge import GVISOR
from pyinfra_gvisor.deploys.checks import checked_settings
from pyinfra_gvisor.deploys.parts import add_parts, apply_parts, drop_parts
from pyinfra_gvisor.facts.node import read_node
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.operations import docker, gvisor, upgrade
from pyinfra_gvisor.planning.preflight import accepted_risks
from pyinfra_gvisor.planning.steps import needs_collection, needs_engine, needs_trial
from pyinfra_gvisor.planning.wanted import wanted_daemon_json
from pyinfra_gvisor.proof.skipped_checks import no_new_privileges
from pyinfra_gvisor.run_support.settled import run_unless_settled
from pyinfra_gvisor.settings import Settings


@deploy("gVisor")
def run_node() -> None:
    """Bring a host to what its data declare (Docker, runsc, daemon.json), and prove isolation."""
    settings = checked_settings(host)
    node = None if settings is None else read_node(host)
    if settings is None or node is None:
        return
    run_unless_settled(host, partial(_steps, settings, node))
    if settings.report_dir or settings.textfile_dir:
        # Most runs write none, and the modules take a twentieth of what pyinfra takes to start.
        from pyinfra_gvisor.operations import audit  # noqa: PLC0415

        audit.findings(settings=settings, by="deploy", enforce=False, name="Write the reports")


def _steps(settings: Settings, node: Node) -> None:
    version, profiles = settings.release, settings.runtimes
    if needs_engine(node):
        docker.engine(flavour=settings.docker, name="Install Docker")
    apply_parts(settings, "before daemon.json")
    if profiles:
        gvisor.release(version=version, archive=settings.archive, name=f"Install runsc {version}")
        gvisor.runtimes(
            version=version,
            profiles=profiles,
            dispatch=settings.dispatch,
            name="Write runtime wrappers",
        )
    if profiles and settings.proof != "never" and needs_trial(node, version, profiles):
        _try_release(settings)
    add_parts(settings, "around daemon.json")
    _apply_daemon_json(settings)
    drop_parts(settings, "around daemon.json")
    apply_parts(settings, "before the proof")
    if profiles:
        _prove(settings)
        gvisor.link(version=version, name="Update the runsc link")
    if profiles and needs_collection(node, version):
        keep = settings.keep_releases
        upgrade.collection(version=version, keep=keep, name="Remove unused releases")
    apply_parts(settings, "last")


def _try_release(settings: Settings) -> None:
    upgrade.canary(
        version=settings.release,
        profiles=settings.runtimes,
        risks=accepted_risks(settings),
        image=settings.proof_image,
        timeout_s=settings.apply_timeout_s,
        wait_s=settings.restart_wait_s,
        restart=settings.restart,
        restart_units=settings.restart_units,
        rows=settings.proof_rows,
        name="Prove the new release",
    )


def _apply_daemon_json(settings: Settings) -> None:
    docker.daemon_json(
        wanted=wanted_daemon_json(settings),
        owner=GVISOR,
        if_absent=settings.daemon_json_defaults(),
        spare_ports=settings.spares_ports,
        keep_running=settings.retained_runtimes,
        restart=settings.restart,
        restart_units=settings.restart_units,
        timeout_s=settings.apply_timeout_s,
        wait_s=settings.restart_wait_s,
        name="Apply daemon.json",
    )


def _prove(settings: Settings) -> None:
    gvisor.proof(
        version=settings.release,
        profiles=settings.proven_runtimes,
        when=settings.proof,
        risks=accepted_risks(settings),
        image=settings.proof_image,
        no_new_privileges=no_new_privileges(settings),
        declared=settings,
        rows=settings.proof_rows,
        name="Prove isolation",
    )


if not __name__.startswith("pyinfra_gvisor."):
    # At each operation on each host pyinfra asks `inspect` for the stack. `inspect` then searches
    # all modules for this file, unless it is a module. With 30 hosts this import saves an eighth of
    # the controller's time.
    import pyinfra_gvisor.deploys.gvisor  # noqa: F401 - only to have it in sys.modules

    run_node()
