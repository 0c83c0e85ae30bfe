"""``permit``: run a command of docker on a node that its judge refuses."""

from __future__ import annotations

import shlex

import click

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.command.running import INVENTORY, check_reason, existing, run_pyinfra
from pyinfra_gvisor.parts.judge.files import PERMIT


@click.command()
@click.option(
    "--inventory", default=INVENTORY, show_default=True, metavar="FILE", help="The nodes."
)
@click.option("--reason", required=True, metavar="TEXT", help="Why you allow this.")
@click.argument("host")
@click.argument(
    "command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- docker COMMAND…"
)
def permit(inventory: str, reason: str, host: str, command: tuple[str, ...]) -> int:
    """
    Run a command of docker on HOST that is refused there. Does not ask for confirmation.

    The exception is for one request, and for the container that this request creates. That
    container may be started for an hour. The node's journal and the audit show the reason. With
    --runtime=runc the container runs outside of gVisor.
    """
    check_reason(reason)
    if command[0] != "docker":
        todo = "write it after --, such as -- docker run --rm …"
        raise Problem("permit runs a command of docker", got=command[0], todo=todo)
    words = shlex.join([PERMIT, "--reason", reason, "--", *command])
    todo = f"{PERMIT} is missing: without gvisor_default this node needs no exceptions"
    text = f"if [ -x {PERMIT} ]; then {words}; else echo {shlex.quote(todo)} >&2; false; fi"
    return run_pyinfra([existing(inventory), "exec", f"--limit={host}", "--", text])
