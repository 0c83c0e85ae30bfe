"""What is asked about a container, and what decides about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pyinfra_gvisor.judge.container import Container
from pyinfra_gvisor.judge.docker_files import Undecided, read_container
from pyinfra_gvisor.judge.infrastructure import decide
from pyinfra_gvisor.judge.journal import UNITS
from pyinfra_gvisor.judge.places import Places


@dataclass(frozen=True)
class NodePaths:
    """
    Where things are on a node.

    + run: a directory that only root can write, and that is empty after every boot
    + public: files that many apps mount and that tell nothing
    + divert: what has our program in the place of runc
    """

    run: str = "/run/pyinfra-gvisor"
    runtimes: str = "/opt/gvisor/runtimes"
    daemon_json: str = "/etc/docker/daemon.json"
    releases: str = "/opt/gvisor/releases"
    processes: str = "/proc"
    units: tuple[str, ...] = UNITS
    public: tuple[str, ...] = ("/etc/localtime", "/etc/timezone")
    divert: str = "/opt/gvisor/divert"


@dataclass(frozen=True)
class Asked:
    """
    A container that asks for a sandbox.

    + root: Docker's data root
    + seal: what a sandbox may not have, as ``Seal.rules`` returns it
    + spec: ``config.json`` of its bundle; None if there is none yet
    + policy: entries and shapes; None if there is none
    """

    container: Container
    root: str
    seal: Mapping[str, Any]
    spec: Mapping[str, Any] | None = None
    policy: Mapping[str, Any] | None = None
    paths: NodePaths = NodePaths()
    places: Places = field(default_factory=Places)

    @property
    def host(self) -> Mapping[str, Any]:
        """Return its ``HostConfig``."""
        return self.container.host

    def linux(self, name: str) -> list[dict[str, Any]]:
        """Return a list in the part ``linux`` of the specification."""
        part = (self.spec or {}).get("linux") or {}
        found: list[dict[str, Any]] = part.get(name) or []
        return found

    def infrastructure(self, identity: str) -> Container | None:
        """Return a container that the policy has outside of gVisor; None for others."""
        if self.policy is None:
            return None
        try:
            other = read_container(self.root, identity)
        except Undecided:  # removed meanwhile
            return None
        return other if decide(other, self.policy).where == "runc" else None
