"""``pyinfra-gvisor compatibility``: records of runs, in a clone of this repository."""

from __future__ import annotations

from pathlib import Path

import click

from pyinfra_gvisor.compatibility.files import DOCS, add_records
from pyinfra_gvisor.compatibility.page import read_page, write_page

_DOCS = click.option(
    "--docs", type=click.Path(path_type=Path), default=DOCS, hidden=True, metavar="DIRECTORY"
)


@click.group(hidden=True)
def compatibility() -> None:
    """Keep records of runs, and the table of them in docs/. Needs a clone of the repository."""


@compatibility.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
@click.option(
    "--docker-lab-build",
    metavar="MODULE@VERSION",
    help="What dockerd was built from, if the lab built it.",
)
@_DOCS
def add(files: tuple[Path, ...], docker_lab_build: str | None, docs: Path) -> None:
    """Copy records of runs into docs/compatibility, in place of older ones."""
    read_page(docs)
    for path in add_records(files, docker=docker_lab_build, kept=docs / "compatibility"):
        click.echo(f"written: {path}")
    click.echo("write the table: pyinfra-gvisor compatibility table")


@compatibility.command()
@_DOCS
def table(docs: Path) -> None:
    """Write the table of all records into docs/compatibility.md."""
    click.echo(write_page(docs))
