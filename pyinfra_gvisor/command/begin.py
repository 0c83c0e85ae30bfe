"""``pyinfra-gvisor init``: the files of a new fleet."""

from __future__ import annotations

import os
from pathlib import Path

import click

from pyinfra_gvisor.base.columns import some
from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.command import fleet

_NAMED = 5


@click.command()
@click.argument("hosts", nargs=-1, metavar="[HOST…]")
@click.option(
    "--directory",
    type=click.Path(path_type=Path),
    default=Path(),
    show_default=True,
    help="An empty or new directory.",
)
@click.option("--coolify", metavar="URL", help="Take the servers that this Coolify knows.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With --coolify: a file with the API token. Default: COOLIFY_TOKEN.",
)
@click.option(
    "--ssh-host",
    metavar="HOST",
    help="With --coolify: how ssh reaches Coolify's own host. Default: the host in URL.",
)
def init(
    hosts: tuple[str, ...],
    directory: Path,
    coolify: str | None,
    token_file: Path | None,
    ssh_host: str | None,
) -> None:
    """
    Write the files of a new fleet.

    The directory must be empty.

    HOST is a name or an address that ssh takes, also as USER@HOST:PORT. Asks nothing, overwrites
    nothing.
    """
    if coolify is None:
        if token_file or ssh_host:
            raise click.UsageError("--token-file and --ssh-host need --coolify URL")
        new = fleet.Fleet(run=tuple(map(fleet.host_entry, hosts)))
    elif hosts:
        raise Problem("HOST and --coolify exclude each other", todo="give one of them")
    else:
        new = fleet.from_coolify(coolify, token_file, ssh_host, os.environ)
    written, unknown = fleet.begin(directory, new)
    for path in written:
        click.echo(f"wrote {path}")
    if unknown:
        click.echo(f"No host key is known of {some(unknown, _NAMED)}: the first run accepts any.")
    for line in fleet.next_steps(directory, new):
        click.echo(line)
