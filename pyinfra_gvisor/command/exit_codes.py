"""Exit codes: one table for all commands and for the deploys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import click

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.command.hints import hint

FINE: Final = 0
FAILED: Final = 1
PENDING: Final = 2
SIGNALLED: Final = 128  # and the signal's number, as a shell has it
INTERRUPTED: Final = SIGNALLED + 2  # SIGINT

TABLE: Final = """\b
Exit codes of every command:
  0  as declared: every host was reached and is, or now is, as declared
  1  not as declared: a host failed, was refused or was not reached, a check
     failed, or the command line is wrong
  2  nothing failed, but changes are pending (drift), waves are to do
     (rollout), or there are newer releases (releases check)
  130, 143  ended by Ctrl-C or SIGTERM
"""


def run(command: click.Command, argv: Sequence[str] | None, *, program: str) -> int:
    """
    Run a command line, say on stderr what went wrong, and return the exit code.

    + argv: the arguments after the program's name; ``None`` for the arguments of this process
    + program: the program's name in messages
    """
    try:
        result: Any = command.main(argv, prog_name=program, standalone_mode=False)
    except click.ClickException as error:
        (hint(error) or error).show()
        return FAILED
    except Problem as problem:
        for line in str(problem).splitlines():
            click.echo(line if line.startswith(" ") else f"{program}: {line}", err=True)
        return FAILED
    except (click.Abort, KeyboardInterrupt):
        click.echo(f"{program}: interrupted", err=True)
        return INTERRUPTED
    return result if isinstance(result, int) else FINE
