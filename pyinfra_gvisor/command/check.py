"""``check``: everything that a run would refuse and that needs no node, for CI."""

from __future__ import annotations

import subprocess
import sys

import click

from pyinfra_gvisor.command.exit_codes import FAILED, FINE
from pyinfra_gvisor.command.running import INVENTORY, existing


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
    # A process of its own, as for the commands that run pyinfra: only that one loads pyinfra.
    words = ("-P", "-m", "pyinfra_gvisor.deploys.offline", existing(inventory))
    return FAILED if subprocess.run([sys.executable, *words], check=False).returncode else FINE
