"""What a lab does with nodes of one kind: containers, or virtual machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from docker import DockerClient

from pyinfra_gvisor.lab.build import Tell
from pyinfra_gvisor.lab.cache import Cache
from pyinfra_gvisor.lab.node import Files, LabNode
from pyinfra_gvisor.lab.spec import NodeSpec


@dataclass(frozen=True)
class Home:
    """A lab's name, and what it works with."""

    lab: str
    client: DockerClient
    cache: Cache
    tell: Tell


@dataclass(frozen=True)
class Found:
    """A node that is there, sound or not: ``label`` says by which recipe, ``id`` which making."""

    label: str
    id: str
    ssh_port: int
    state: str


class Maker(Protocol):
    """Makes, finds and removes nodes of one kind."""

    def ensure(self, spec: NodeSpec) -> None:
        """Have what a node of this spec begins as."""

    def find(self, name: str) -> Found | None:
        """Return what is there. Raises ``LabError`` if it is somebody else's."""

    def node(self, name: str, spec: NodeSpec) -> LabNode:
        """Return the node, which is there."""

    def make(self, name: str, spec: NodeSpec, files: Files) -> None:
        """Begin to boot it, with these files, in the place of whatever was there."""

    def remove(self, name: str) -> None:
        """Remove it with all that it wrote; nothing, if it is not there."""

    def remove_all(self, lab: str | None) -> None:
        """Remove every node of a lab of this user's, or of all of them."""

    def describe(self) -> list[str]:
        """Return a line for every node of the lab, running or not."""
