"""Interface for the two kinds of nodes: containers and virtual machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from docker import DockerClient

from tools.lab.build import Tell
from tools.lab.cache import Cache
from tools.lab.node import Files, LabNode
from tools.lab.spec import NodeSpec


@dataclass(frozen=True)
class Home:
    """A lab's name, Docker client, cache, and function for progress messages."""

    lab: str
    client: DockerClient
    cache: Cache
    tell: Tell


@dataclass(frozen=True)
class Found:
    """An existing node, working or not. ``label`` names its recipe; ``id`` is new for each node."""

    label: str
    id: str
    ssh_port: int
    state: str


class Maker(Protocol):
    """Makes, finds and removes nodes of one kind."""

    def ensure(self, spec: NodeSpec) -> None:
        """Build the image or disk for nodes of this spec, if missing."""

    def find(self, name: str) -> Found | None:
        """Return the node with this name, if any. Raise ``LabError`` if it is somebody else's."""

    def node(self, name: str, spec: NodeSpec) -> LabNode:
        """Return an existing node."""

    def make(self, name: str, spec: NodeSpec, files: Files) -> None:
        """Create a node with these files in place of what is there, and begin to boot it."""

    def remove(self, name: str) -> None:
        """Remove the node and its data, if it exists."""

    def remove_all(self, lab: str | None) -> None:
        """Remove all nodes of one lab of this user; ``None``: of all labs."""

    def describe(self) -> list[str]:
        """Return one line for each node of the lab, running or not."""
