"""``pyinfra-gvisor``: see ``pyinfra-gvisor --help``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from pyinfra_gvisor.command import fleet
from pyinfra_gvisor.command.running import pyinfra_words, run_pyinfra
from pyinfra_gvisor.errors import Problem

FINE, FAILED = 0, 1
EXIT_CODES = """\b
Exit codes of every command:
  0  as declared: every host was reached and is, or now is, as declared
  1  not: a host failed, was refused or not reached, or the command line is wrong
  2  changes are pending (drift only)
"""


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """
    Take Docker nodes to proven gVisor isolation, and keep them there.

    Each command that touches nodes runs pyinfra with the files of the current directory, and
    prints that pyinfra command first.
    """


@cli.command()
@click.argument("hosts", nargs=-1, metavar="[HOST…]")
@click.option("--directory", type=click.Path(path_type=Path), default=Path(), show_default=True)
def init(hosts: tuple[str, ...], directory: Path) -> None:
    """Write the files of a new fleet into an empty directory. Asks nothing, overwrites nothing."""
    for path in fleet.begin(directory, hosts):
        click.echo(f"wrote {path}")
    nodes = "" if hosts else f"1. Write your nodes into {directory / fleet.INVENTORY}.\n"
    click.echo(f"{nodes}Next: pyinfra-gvisor plan, then pyinfra-gvisor apply")


def _on_nodes(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command what all commands that touch nodes have."""
    limit = click.option("--limit", multiple=True, metavar="PATTERN", help="Hosts or groups.")
    rest = click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[-- OPTIONS…]")
    return limit(rest(function))


def _run(deploy: str, limits: Sequence[str], options: Sequence[str], *own: str) -> None:
    sys.exit(run_pyinfra(pyinfra_words(deploy, *own, *options, limits=limits)))


@cli.command()
@_on_nodes
def plan(limit: tuple[str, ...], options: tuple[str, ...]) -> None:
    """Show what apply would change. Changes nothing."""
    _run("gvisor", limit, options, "--dry", "--diff")


@cli.command()
@_on_nodes
@click.option("-y", "--yes", is_flag=True, help="Do not wait for Enter between plan and change.")
def apply(limit: tuple[str, ...], options: tuple[str, ...], *, yes: bool) -> None:
    """Bring the nodes to what is declared, and prove it."""
    _run("gvisor", limit, options, *(("-y",) if yes else ()))


@cli.command()
@_on_nodes
def audit(limit: tuple[str, ...], options: tuple[str, ...]) -> None:
    """Check nodes and containers against what is declared."""
    _run("audit", limit, options, "-y")


@cli.command()
@_on_nodes
@click.option("-y", "--yes", is_flag=True, help="Do not wait for Enter between plan and change.")
def rollback(limit: tuple[str, ...], options: tuple[str, ...], *, yes: bool) -> None:
    """Go back to the daemon.json and the release before the last change."""
    _run("rollback", limit, options, *(("-y",) if yes else ()))


@cli.command()
@_on_nodes
@click.option("-y", "--yes", is_flag=True, help="Do not wait for Enter between plan and change.")
def remove(limit: tuple[str, ...], options: tuple[str, ...], *, yes: bool) -> None:
    """Undo everything on the nodes: daemon.json to the byte, releases, records."""
    _run("remove", limit, options, *(("-y",) if yes else ()))


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command line and return its exit code.

    + argv: the words after the program's name; None for this process's own
    """
    try:
        result: Any = cli.main(argv, prog_name="pyinfra-gvisor", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return FAILED
    except Problem as problem:
        click.echo(f"pyinfra-gvisor: {problem}", err=True)
        return FAILED
    except click.Abort:
        click.echo("pyinfra-gvisor: interrupted", err=True)
        return FAILED
    return result if isinstance(result, int) else FINE


if __name__ == "__main__":
    sys.exit(main())
