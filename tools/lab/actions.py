"""The commands of ``python -m tools lab``."""

import os
from pprint import pformat

import click
from docker import DockerClient
from docker.errors import APIError, DockerException

from tools.lab import Lab, LabError, lab_arch, lab_name, node_specs, parts, recipe, runsc
from tools.lab.cache import Cache
from tools.lab.fleet import connect, tell_on_stderr
from tools.lab.make import probe_image
from tools.lab.spec import OWN_ARCH


@click.group()
def actions() -> None:
    """The lab's commands, for the group of this name."""


@actions.command()
def up() -> None:
    """Start the nodes. Builds what is missing."""
    lab, specs = _lab(), node_specs(os.environ)
    found = _runsc(lab)
    tell_on_stderr(f"runsc of the nodes: {found.release}, {found.what}")
    lab.up(specs)
    _tell_nodes(lab)


@actions.command()
def status() -> None:
    """Say which nodes there are."""
    _tell_nodes(_lab())


@actions.command()
def inventory() -> None:
    """Print an inventory of the nodes: … > inventories/lab.py."""
    lab = _lab()
    found = _runsc(lab)
    nodes = lab.up(node_specs(os.environ))
    hosts = [(node.name, {**node.host_data(), **found.settings}) for node in nodes]
    click.echo(f'"""Nodes of the lab {lab.name}."""\n\nrun = {pformat(hosts, width=100)}')


@actions.command()
def down() -> None:
    """Remove the nodes."""
    lab = _lab()
    lab.down()
    _tell_nodes(lab)


@actions.command()
def remove_everything() -> None:
    """Remove all nodes, images and keys of all labs."""
    lab = _lab()
    lab.remove_everything()
    _tell_nodes(lab)


@actions.command("try")
def try_() -> None:
    """Print "ready", or "unable" if Docker here starts no privileged container."""
    client = connect()
    if why := why_it_cannot(client):
        version = client.version()["Version"]
        what = f"Docker {version} on this machine cannot start a privileged container"
        click.echo(f"{what}: {why}", err=True)
    click.echo("unable" if why else "ready")


@actions.command("engine")
def build_engine() -> None:
    """Build Docker alone, and print its directory."""
    _build(parts.DOCKER)


@actions.command("parts")
def build_parts() -> None:
    """Build what the nodes are made of, and print the directories."""
    _build(*parts.PARTS)


@actions.command("cache")
def cache_directory() -> None:
    """Print the directory that keeps what was built."""
    click.echo(Cache.of(os.environ).root)


def _build(*wanted: parts.Part) -> None:
    cache = Cache.of(os.environ)
    for part in wanted:
        arch = lab_arch(os.environ) if part is parts.GVISOR else OWN_ARCH
        click.echo(parts.take(part, arch=arch, cache=cache, tell=tell_on_stderr))


def _lab() -> Lab:
    return Lab(lab_name(os.environ))


def _runsc(lab: Lab) -> runsc.Runsc:
    return runsc.chosen(os.environ, lab=lab.name, cache=lab.cache, tell=tell_on_stderr)


def _tell_nodes(lab: Lab) -> None:
    for line in lab.describe():
        tell_on_stderr(line)


_IMAGE = f"{recipe.IMAGE_REPOSITORY}:try"
_NODES_PROGRAMS = {"/usr": {"bind": "/usr", "mode": "ro"}}


def why_it_cannot(client: DockerClient) -> str | None:
    """
    Start a privileged container, as nodes are; return Docker's error, or None if it starts.

    Docker 20.10 starts none if its own capability bounding set is incomplete; later ones do.
    Raise ``LabError`` if Docker cannot be tested.
    """
    try:
        client.api.import_image(
            probe_image(), repository=_IMAGE, changes=[f"LABEL {recipe.IMAGE_LABEL}=try"]
        )
        try:
            return _refusal(client)
        finally:
            client.images.remove(_IMAGE, force=True)
    except DockerException as error:
        raise LabError("lab: docker: cannot test privileged containers", because=error) from error


def _refusal(client: DockerClient) -> str | None:
    container = client.containers.create(
        _IMAGE, ["true"], privileged=True, labels={recipe.LABEL: "try"}, volumes=_NODES_PROGRAMS
    )
    try:
        container.start()
    except APIError as error:
        return " ".join(str(error.explanation).split())
    finally:
        container.remove(force=True)
    return None
