"""The actions of ``python -m tools lab``: one function for each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pprint import pformat

from tools.lab import Lab, engine, lab_arch, lab_name, node_specs, parts, runsc
from tools.lab.cache import Cache
from tools.lab.fleet import connect, tell_on_stderr
from tools.lab.spec import OWN_ARCH


def up() -> None:
    """Start the lab's nodes, build what is missing, and print how to reach them."""
    lab = _lab()
    specs = node_specs(os.environ)
    found = runsc.chosen(os.environ, lab=lab.name, cache=lab.cache, tell=tell_on_stderr)
    tell_on_stderr(f"runsc of the nodes: {found.release}, {found.what}")
    lab.up(specs)
    status()


def status() -> None:
    """Print the nodes and how to reach them."""
    for line in _lab().describe():
        tell_on_stderr(line)


def inventory() -> str:
    """Return the text of an inventory of the lab's nodes. Start missing nodes."""
    lab = _lab()
    found = runsc.chosen(os.environ, lab=lab.name, cache=lab.cache, tell=tell_on_stderr)
    nodes = lab.up(node_specs(os.environ))
    hosts = [(node.name, {**node.host_data(), **found.settings}) for node in nodes]
    return f'"""Nodes of the lab {lab.name}."""\n\nrun = {pformat(hosts, width=100)}\n'


def down() -> None:
    """Remove the lab's nodes."""
    _lab().down()
    status()


def remove_everything() -> None:
    """Remove every lab's nodes, images and keys."""
    _lab().remove_everything()
    status()


def why_docker_cannot() -> str | None:
    """Return why this machine's Docker cannot start a privileged container; None if it can."""
    client = connect()
    if (why := engine.why_it_cannot(client)) is None:
        return None
    version = client.version()["Version"]
    return f"Docker {version} on this machine cannot start a privileged container: {why}"


def build(*, engine_only: bool = False) -> Iterator[str]:
    """
    Build the lab's parts, and return the directory of each.

    + engine_only: build Docker only
    """
    cache = Cache.of(os.environ)
    for part in (parts.DOCKER,) if engine_only else parts.PARTS:
        arch = lab_arch(os.environ) if part is parts.GVISOR else OWN_ARCH
        yield str(parts.take(part, arch=arch, cache=cache, tell=tell_on_stderr))


def cache_directory() -> str:
    """Return the lab's cache directory."""
    return str(Cache.of(os.environ).root)


def _lab() -> Lab:
    return Lab(lab_name(os.environ))
