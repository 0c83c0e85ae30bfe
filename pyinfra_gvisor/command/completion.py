"""``pyinfra-gvisor completion``: a script that completes command lines."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from pyinfra_gvisor.base.errors import Problem

PROGRAM = "pyinfra-gvisor"
VARIABLE = "_PYINFRA_GVISOR_COMPLETE"  # click makes this name from the program's


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """
    Print a completion script for SHELL.

    For bash: pyinfra-gvisor completion bash > /etc/bash_completion.d/pyinfra-gvisor
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise Problem("click has no completion for this shell", got=shell)
    try:
        click.echo(kind(ctx.find_root().command, {}, PROGRAM, VARIABLE).source())
    except RuntimeError as error:  # an old bash
        raise Problem(f"completion for {shell}: {error}") from None
