"""``check``: everything that a run would refuse and that needs no node, for CI."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

from pyinfra_gvisor.command.exit_codes import FAILED, FINE
from pyinfra_gvisor.command.running import INVENTORY, existing, fleet_files
from pyinfra_gvisor.planning.file_mistakes import refuse_mistakes


@click.command()
@click.option(
    "--inventory", default=INVENTORY, show_default=True, metavar="FILE", help="The nodes."
)
def check(inventory: str) -> int:
    """
    Check settings and files, offline. Asks no node.

    Says what a run would refuse before it asks a node, and which settings would do nothing. Runs
    the inventory and its group data as pyinfra does. For CI.
    """
    deploys = map(str, sorted(Path("deploys").glob("*.py")))
    refuse_mistakes(fleet_files(*deploys), Path(existing(inventory)))
    # A process of its own, as for the commands that run pyinfra: only that one loads pyinfra.
    words = ("-P", "-m", "pyinfra_gvisor.deploys.offline", existing(inventory))
    return FAILED if subprocess.run([sys.executable, *words], check=False).returncode else FINE
