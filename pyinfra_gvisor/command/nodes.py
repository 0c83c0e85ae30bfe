"""Commands that run a deploy on the nodes."""

from __future__ import annotations

import sys

import click

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.command.controller import controller_lines
from pyinfra_gvisor.command.running import (
    Nodes,
    fleets_or_own,
    on_nodes,
    pyinfra_arguments,
    run_pyinfra,
)

_YES = click.option("-y", "--yes", is_flag=True, help="Do not ask between plan and change.")
_DEPLOY = click.option(
    "--deploy",
    default="gvisor",
    show_default=True,
    metavar="NAME",
    help="A file of deploys/, such as gvisor or coolify.",
)


def _run(nodes: Nodes, deploy: str, *own: str) -> int:
    return run_pyinfra(pyinfra_arguments(nodes, deploy, *own))


def _change(nodes: Nodes, deploy: str, *own: str, yes: bool) -> int:
    arguments = pyinfra_arguments(nodes, deploy, *own, *(("-y",) if yes else ()))
    if not yes and not sys.stdin.isatty():
        raise Problem("pyinfra asks before a change, and stdin is no terminal", todo="add -y")
    return run_pyinfra(arguments)


@click.command()
@on_nodes
def doctor(nodes: Nodes) -> int:
    """
    Check this machine and the nodes. Changes nothing.

    Says what a deploy would refuse, with what to do about it.
    """
    for line in controller_lines():
        click.echo(line, err=True)
    return _run(nodes, "doctor", "-y")


@click.command()
@on_nodes
@_DEPLOY
def plan(nodes: Nodes, deploy: str) -> int:
    """Show what apply would change. Changes nothing."""
    if {"-y", "--yes"} & {*nodes.options}:
        raise click.UsageError("with -y pyinfra does not look for changes: a plan needs no -y")
    return run_pyinfra(pyinfra_arguments(nodes, deploy, "--dry", "--diff"), plan=True)


@click.command()
@on_nodes
@_DEPLOY
@click.option("--proof", is_flag=True, help="Prove again, and show every check.")
@_YES
def apply(nodes: Nodes, deploy: str, *, proof: bool, yes: bool) -> int:
    """Bring the nodes to what is declared, and prove it."""
    own = ("--data=gvisor_proof=always", "--data=gvisor_proof_rows=True") if proof else ()
    return _change(nodes, deploy, *own, yes=yes)


@click.command()
@on_nodes
def audit(nodes: Nodes) -> int:
    """Check that apps run in gVisor. Changes nothing."""
    return _run(nodes, "audit", "-y")


@click.command()
@on_nodes
def egress(nodes: Nodes) -> int:
    """
    List what the firewall blocked, or would block. Changes nothing.

    For each container: the destinations, and when it tried. With mode report of the last seven
    days, otherwise of the last hour.
    """
    return _run(nodes, fleets_or_own("egress"), "-y")


@click.command()
@on_nodes
@click.option(
    "--to", type=click.IntRange(min=1), metavar="N", help="A generation; default: the last one."
)
@_YES
def rollback(nodes: Nodes, to: int | None, *, yes: bool) -> int:
    """
    Roll back to an earlier generation.

    That is daemon.json and the release as they were before a change.
    """
    own = () if to is None else (f"--data=gvisor_generation={to}",)
    return _change(nodes, "rollback", *own, yes=yes)


@click.command()
@on_nodes
@_YES
def remove(nodes: Nodes, *, yes: bool) -> int:
    """
    Undo everything on the nodes.

    daemon.json becomes the original file to the byte, unless somebody else changed it.
    """
    return _change(nodes, "remove", yes=yes)


@click.command()
@on_nodes
def generations(nodes: Nodes) -> int:
    """List what each node can be rolled back to. Changes nothing."""
    return _run(nodes, "generations", "-y")
