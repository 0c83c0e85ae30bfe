"""``pyinfra-gvisor``: see ``pyinfra-gvisor --help``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from keyword import iskeyword
from typing import cast

import click

from pyinfra_gvisor.command.exit_codes import TABLE, run

COMMANDS = {
    "init": "begin",
    "check": "check",
    "doctor": "nodes",
    "plan": "nodes",
    "apply": "nodes",
    "audit": "nodes",
    "apps": "nodes",
    "measure": "nodes",
    "try": "nodes",
    "move": "move",
    "egress": "nodes",
    "rollout": "rollout",
    "shard": "rollout",
    "drift": "drift",
    "statement": "statement",
    "infrastructure": "infrastructure",
    "accept": "infrastructure",
    "permit": "permit",
    "rollback": "nodes",
    "remove": "nodes",
    "generations": "nodes",
    "releases": "releases",
    "schema": "schema",
    "completion": "completion",
}
"""Each command in the order of the help text, and the module that has it."""


def _attribute(command: str) -> str:
    """Return what a module calls a command."""
    return f"{command}_" if iskeyword(command) else command


class _Commands(click.Group):
    """Import a command's module when the command is used: some of them take long to import."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"pyinfra_gvisor.command.{COMMANDS[cmd_name]}")
        return cast("click.Command", getattr(module, _attribute(cmd_name)))


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
    return run(cli, argv, program="pyinfra-gvisor")


if __name__ == "__main__":
    sys.exit(main())
