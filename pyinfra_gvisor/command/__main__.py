"""``pyinfra-gvisor``: see ``pyinfra-gvisor --help``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, cast

import click

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.command.exit_codes import FAILED, FINE, INTERRUPTED, TABLE

COMMANDS = {
    "init": "begin",
    "check": "check",
    "doctor": "nodes",
    "plan": "nodes",
    "apply": "nodes",
    "audit": "nodes",
    "drift": "drift",
    "infrastructure": "infrastructure",
    "accept": "infrastructure",
    "rollback": "nodes",
    "remove": "nodes",
    "generations": "nodes",
    "releases": "releases",
    "lab": "lab",
    "schema": "schema",
    "completion": "completion",
    "compatibility": "compatibility",
}
"""Each command in the order of the help text, and the module that has it."""


class _Commands(click.Group):
    """Import a command's module when the command is used: some of them take long to import."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"pyinfra_gvisor.command.{COMMANDS[cmd_name]}")
        return cast("click.Command", getattr(module, cmd_name))


@click.command(
    cls=_Commands,
    epilog=TABLE,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="pyinfra-gvisor")
def cli() -> None:
    """
    Take Docker nodes to proven gVisor isolation, and keep them there.

    A command that works on nodes runs pyinfra with the files of the current directory. It prints
    the pyinfra command first.
    """


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command line and return its exit code.

    + argv: the arguments after the program's name; ``None`` for the arguments of this process
    """
    try:
        result: Any = cli.main(argv, prog_name="pyinfra-gvisor", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return FAILED
    except Problem as problem:
        for line in str(problem).splitlines():
            click.echo(line if line.startswith(" ") else f"pyinfra-gvisor: {line}", err=True)
        return FAILED
    except (click.Abort, KeyboardInterrupt):
        click.echo("pyinfra-gvisor: interrupted", err=True)
        return INTERRUPTED
    return result if isinstance(result, int) else FINE


if __name__ == "__main__":
    sys.exit(main())
