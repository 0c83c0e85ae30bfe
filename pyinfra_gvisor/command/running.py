"""Run pyinfra with the files of a fleet, after its command was printed."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from pyinfra_gvisor.command.exit_codes import FAILED, FINE
from pyinfra_gvisor.errors import Problem

INVENTORY = "inventories/run.py"


class Nodes(NamedTuple):
    """
    Where a command works: the inventory, hosts or groups of it (empty for all), and further options
    for pyinfra.
    """

    inventory: str
    limits: tuple[str, ...]
    options: tuple[str, ...]


def on_nodes(function: Callable[..., int]) -> Callable[..., int]:
    """Give a command ``--inventory``, ``--limit`` and the options after ``--``, as ``nodes``."""

    def run(inventory: str, limit: tuple[str, ...], options: tuple[str, ...], **own: object) -> int:
        if options and not options[0].startswith("-"):
            raise click.UsageError(
                f"unexpected argument {options[0]}. Choose hosts with --limit, "
                "and write options of pyinfra after --"
            )
        return function(Nodes(inventory, limit, options), **own)

    run.__doc__ = function.__doc__
    run.__name__ = function.__name__
    run.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
    for decorate in (
        click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[-- OPTIONS…]"),
        click.option("--limit", multiple=True, metavar="PATTERN", help="Hosts or groups."),
        click.option(
            "--inventory", default=INVENTORY, show_default=True, metavar="FILE", help="The nodes."
        ),
    ):
        run = decorate(run)
    return run


def deploy_file(name: str) -> str:
    """
    Return the path of a deploy in the current directory.

    + name: such as ``gvisor``, or the path of a deploy file

    Raises ``Problem`` if there is no such file.
    """
    return _existing(name if name.endswith(".py") else f"deploys/{name}.py")


def pyinfra_arguments(nodes: Nodes, deploy: str, *own: str) -> list[str]:
    """
    Return the arguments of pyinfra for a run.

    + deploy: the name of a deploy, such as ``gvisor``, or the path of its file

    Raises ``Problem`` if the current directory has no such inventory or deploy.
    """
    limits = (f"--limit={limit}" for limit in nodes.limits)
    inventory = nodes.inventory if nodes.inventory.startswith("@") else _existing(nodes.inventory)
    return [inventory, deploy_file(deploy), *own, *limits, *nodes.options]


def _existing(path: str) -> str:
    if not Path(path).is_file():
        todo = "change to the directory of your fleet, or begin one: pyinfra-gvisor init HOST…"
        raise Problem(f"{path} does not exist in {Path.cwd()}", todo=todo)
    return path


def run_pyinfra(arguments: Sequence[str]) -> int:
    """
    Print the command of pyinfra, run it with this Python, and return 0 if it succeeds, else 1.

    pyinfra returns 2 for a wrong command line. Here 2 has another meaning.
    """
    click.echo(f"$ pyinfra {shlex.join(arguments)}", err=True)
    # -P: as with the program "pyinfra", no file of the current directory hides a module.
    with subprocess.Popen([sys.executable, "-P", "-m", "pyinfra", *arguments]) as process:
        before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        try:
            return FAILED if _ended(process) else FINE
        finally:
            signal.signal(signal.SIGTERM, before)


def _ended(process: subprocess.Popen[bytes]) -> int:
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # the terminal sends Ctrl-C to pyinfra as well, which then ends
            continue
