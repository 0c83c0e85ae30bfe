"""``pyinfra-gvisor lab``: throwaway nodes on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import click

from pyinfra_gvisor.base.errors import Problem


@click.group()
def lab() -> None:
    """
    Start or remove throwaway nodes on this machine.

    Needs root and Docker.

    GVISOR_LAB_NAME, GVISOR_LAB_NODES and GVISOR_LAB_FLAVOURS choose the nodes, GVISOR_LAB_KIND
    (container or vm) and GVISOR_LAB_ARCH (x86_64 or aarch64) their kind, GVISOR_LAB_RUNSC (build,
    debian, or the path of an official gvisor.tar.bz2) their runsc. Node 2 is one that others have
    used before.
    """


@contextmanager
def _actions() -> Iterator[ModuleType]:
    try:
        # Loaded here: it needs the extra "lab", which the other commands do without.
        from pyinfra_gvisor.lab import LabError, actions  # noqa: PLC0415
    except ModuleNotFoundError as error:
        todo = "pip install 'pyinfra-gvisor[lab]'"
        raise Problem(f"the lab needs {error.name}", todo=todo) from None
    try:
        yield actions
    except LabError as error:
        raise Problem(str(error)) from None


@lab.command()
def up() -> None:
    """Start the nodes. Builds what is missing."""
    with _actions() as actions:
        actions.up()


@lab.command()
def status() -> None:
    """Say which nodes there are."""
    with _actions() as actions:
        actions.status()


@lab.command()
def inventory() -> None:
    """Print an inventory of the nodes: … > inventories/lab.py."""
    with _actions() as actions:
        click.echo(actions.inventory(), nl=False)


@lab.command()
def down() -> None:
    """Remove the nodes."""
    with _actions() as actions:
        actions.down()


@lab.command("remove-everything", hidden=True)
def remove_everything() -> None:
    """Remove all nodes, images and keys of all labs."""
    with _actions() as actions:
        actions.remove_everything()


@lab.command("try", hidden=True)
def try_() -> None:
    """Print "ready", or "unable" if Docker here starts no privileged container."""
    with _actions() as actions:
        why = actions.why_docker_cannot()
    if why:
        click.echo(why, err=True)
    click.echo("unable" if why else "ready")


@lab.command(hidden=True)
def engine() -> None:
    """Build Docker alone, and print its directory."""
    _build(engine_only=True)


@lab.command(hidden=True)
def parts() -> None:
    """Build what the nodes are made of, and print the directories."""
    _build(engine_only=False)


@lab.command(hidden=True)
def cache() -> None:
    """Print the directory that keeps what was built."""
    with _actions() as actions:
        click.echo(actions.cache_directory())


def _build(*, engine_only: bool) -> None:
    with _actions() as actions:
        for directory in actions.build(engine_only=engine_only):
            click.echo(directory)
