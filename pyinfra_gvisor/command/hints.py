"""What to type instead of a command or an option that does not exist."""

from __future__ import annotations

from typing import Final

import click

from pyinfra_gvisor.base.spelling import near

_APPLY = "pyinfra-gvisor apply"
_PLAN = "pyinfra-gvisor plan"
_SETTING = "write it as NAME = VALUE into group_data/run.py"

COMMANDS: Final = {
    **dict.fromkeys(("status", "ps", "list", "show", "verify"), "pyinfra-gvisor audit"),
    **dict.fromkeys(("install", "deploy", "converge", "run", "up", "setup"), _APPLY),
    **dict.fromkeys(("diff", "dry", "dry-run", "preview", "dryrun"), _PLAN),
    **dict.fromkeys(("uninstall", "delete", "purge", "clean", "destroy"), "pyinfra-gvisor remove"),
    **dict.fromkeys(
        ("upgrade", "update"),
        f"change gvisor_release in group_data/run.py, then {_PLAN}: docs/how-to/upgrade.md",
    ),
    **dict.fromkeys(("undo", "revert", "restore", "back"), "pyinfra-gvisor rollback"),
    **dict.fromkeys(("prove", "proof", "test"), "pyinfra-gvisor apply --proof"),
    **dict.fromkeys(("exempt", "allow", "approve"), "pyinfra-gvisor accept NAME"),
    **dict.fromkeys(("history", "versions", "backups"), "pyinfra-gvisor generations"),
    **dict.fromkeys(("firewall", "network"), "pyinfra-gvisor egress"),
    "validate": "pyinfra-gvisor check",
    "lint": "pyinfra-gvisor check",
    "help": "pyinfra-gvisor --help",
    "version": "pyinfra-gvisor --version",
}
"""By the word that was typed."""

OPTIONS: Final = {
    **dict.fromkeys(("--dry", "--dry-run", "--check", "--diff", "-n"), _PLAN),
    **dict.fromkeys(("--data", "--set", "-d", "-e"), f"{_SETTING}. For one run: -- --data"),
    **dict.fromkeys(("--host", "--hosts", "--node", "--group", "--only"), "--limit HOST"),
    **dict.fromkeys(("--port", "--user", "--key", "--ssh-port"), "inventories/run.py has ssh data"),
    **dict.fromkeys(("--release", "--version"), "set gvisor_release in group_data/run.py"),
    **dict.fromkeys(("--force", "--no-check"), "each refusal says how to accept it"),
    **dict.fromkeys(("--quiet", "-q"), "2> /dev/null hides the progress"),
    "-i": "--inventory FILE",
    "-l": "--limit HOST",
    "--debug": "-- -vvv",
    "-v": "-- -v",
    "--verbose": "-- -v",
}
"""By the option that was typed."""


def hint(error: click.ClickException) -> click.UsageError | None:
    """Return an error that says what to type instead, if people try this word; None if not."""
    found: str | None = None
    if isinstance(error, click.NoSuchOption):
        found = OPTIONS.get(error.option_name)
    elif isinstance(error, click.UsageError) and error.message.startswith("No such command "):
        word = error.message.split("'")[1]
        found = COMMANDS.get(word) or _nearest(word, error.ctx)
    if found is None or not isinstance(error, click.UsageError):
        return None
    what = error.message.partition(" (")[0].rstrip(".")
    return click.UsageError(f"{what}. Instead: {found}", error.ctx)


def _nearest(word: str, context: click.Context | None) -> str | None:
    """Return the command that is written most like a word; None if no command is."""
    if context is None or not isinstance(context.command, click.Group):
        return None
    found = near(word, context.command.list_commands(context))
    return f"{context.command_path} {found[0]}" if found else None
