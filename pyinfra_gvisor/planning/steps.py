"""Which steps of a deploy a node needs beside the ones that every node has."""

from __future__ import annotations

from collections.abc import Mapping

from pyinfra_gvisor.node import Node
from pyinfra_gvisor.planning.canary import canaries
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.sandbox.verdict import release_of


def needs_engine(node: Node) -> bool:
    """Return True if Docker is to be installed, or an interrupted change of daemon.json ended."""
    return node.info is None or node.pending


def needs_trial(node: Node, version: str, profiles: Mapping[str, Runtime]) -> bool:
    """
    Return True if a runtime that dockerd knows may be switched to ``version`` in this run.

    That is not known yet where an interrupted change is ended first, or where Docker is installed
    for a daemon.json that is there.
    """
    unknown = node.pending or (node.info is None and node.daemon_json.text is not None)
    return unknown or bool(canaries(node, version, profiles))


def needs_collection(node: Node, version: str) -> bool:
    """Return True if a release, a wrapper or a container on the node is of another release."""
    found: set[str | None] = {*node.releases, *node.damaged}
    found |= {release_of(path) for path in node.wrappers}
    found |= {container.release for container in node.containers}
    return bool(found - {version, None})
