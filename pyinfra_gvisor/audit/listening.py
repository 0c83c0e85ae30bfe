"""The addresses at which dockerd listens, from its flags and from daemon.json."""

from __future__ import annotations

from collections.abc import Iterator

from pyinfra_gvisor.daemon_json.effective import value_in_force
from pyinfra_gvisor.node import Node


def hosts(node: Node) -> list[str]:
    """Return every word that may contain an address, such as ``--host=tcp://0.0.0.0:2375``."""
    words = node.dockerd.arguments if node.dockerd else ()
    value = value_in_force(node, "hosts", "host")
    return [*words, *(map(str, value) if isinstance(value, list) else [str(value)])]


def sockets(node: Node) -> Iterator[str]:
    """Yield the paths of dockerd's Unix sockets, with /run for /var/run, which links to it."""
    for word in hosts(node):
        path = word.partition("unix://")[2]
        if path:
            yield path.removeprefix("/var") if path.startswith("/var/run/") else path
