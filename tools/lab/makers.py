"""Interface for the two kinds of nodes: containers and virtual machines."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

from docker import DockerClient

from tools.lab.build import Tell
from tools.lab.cache import Cache
from tools.lab.node import SSH_USER, Files, LabNode
from tools.lab.spec import NodeSpec


@dataclass(frozen=True)
class Found:
    """An existing node, working or not. ``label`` names its recipe; ``id`` is new for each node."""

    label: str
    id: str
    ssh_port: int
    state: str


@dataclass(frozen=True)
class Maker(ABC):
    """Makes, finds and removes the nodes of one kind in a lab. ``tell`` gets progress messages."""

    lab: str
    client: DockerClient
    cache: Cache
    tell: Tell

    @abstractmethod
    def ensure(self, spec: NodeSpec) -> None:
        """Build the image or disk for nodes of this spec, if missing."""

    @abstractmethod
    def names(self) -> Iterable[str]:
        """Return the names of the lab's nodes, running or not."""

    @abstractmethod
    def find(self, name: str) -> Found | None:
        """Return the node with this name, if any. Raise ``LabError`` if it is somebody else's."""

    @abstractmethod
    def node(self, name: str, spec: NodeSpec) -> LabNode:
        """Return an existing node."""

    @abstractmethod
    def make(self, name: str, spec: NodeSpec, files: Files) -> None:
        """Create a node with these files in place of what is there, and begin to boot it."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove the node and its data, if it exists."""

    @abstractmethod
    def remove_all(self, lab: str | None) -> None:
        """Remove all nodes of one lab of this user; ``None``: of all labs."""

    def describe(self) -> list[str]:
        """Return one line for each node of the lab, running or not."""
        return [
            f"{name}: {found.state}, {found.label}, "
            f"ssh -p {found.ssh_port} -i {self.cache.key} {SSH_USER}@127.0.0.1"
            for name in self.names()
            if (found := self.find(name))
        ]
