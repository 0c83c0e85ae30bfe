"""A node that had Docker 29 from the start, with its images in containerd's store."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.node.containers import remove_container, start_container
from tests.node.docker_29 import OTHER_WRAPPER
from tests.node.running import Fleet, Outcome
from tests.node.seeing import daemon_json, docker_info, no_leftovers, processes, snapshot
from tests.node.transactions import FILE, keys
from tools.lab import LabNode

NAME = "store"
NFTABLES = '{\n    "firewall-backend": "nftables",'


@dataclass(frozen=True)
class Store:
    """The node, with gVisor, and with a container under runc and one under runsc."""

    fleet: Fleet

    @property
    def node(self) -> LabNode:
        return self.fleet.nodes[NAME]

    def run(self, **own: Any) -> Outcome:
        """Run the main job without a proof, with these further keys of daemon.json."""
        return self.fleet.run(NAME, data=keys(**own), flags=("-y", "--diff"))

    def run_well(self, **own: Any) -> None:
        outcome = self.run(**own)
        assert outcome.code == 0, outcome.text

    def run_refused(self, said: str, **own: Any) -> None:
        """The same with another wrapper to write, which is refused before it is written."""
        before = snapshot(self.node)
        outcome = self.fleet.run(NAME, data={**keys(**own), **OTHER_WRAPPER})
        assert outcome.code == 1
        assert said in outcome.text
        assert snapshot(self.node) == before

    def assert_second_changes_nothing(self, **own: Any) -> None:
        before = snapshot(self.node)
        second = self.run(**own)
        assert second.code == 0, second.text
        assert second.idle
        assert snapshot(self.node) == before
        assert no_leftovers(self.node) == ""

    def start_containers(self) -> None:
        start_container(self.node, "tenant")
        start_container(self.node, "sandbox", "--runtime=runsc")

    def remove_containers(self) -> None:
        for name in ("tenant", "sandbox"):
            remove_container(self.node, name)

    def answering(self) -> dict[str, int]:
        """The processes of the containers in which ``docker exec`` works, by name."""
        found = processes(self.node)
        return {
            name: pid
            for name, pid in found.items()
            if self.node.exec("docker", "exec", name, "true").code == 0
        }


@contextmanager
def nftables(node: LabNode) -> Iterator[None]:
    """Write the nftables backend as another would, without restarting dockerd."""
    text = daemon_json(node)
    node.put(FILE, text.replace("{", NFTABLES, 1).encode())
    try:
        yield
    finally:
        node.put(FILE, text.encode())


def firewall(node: LabNode) -> str:
    """Return Docker's firewall backend, which the client of Docker 26 does not show."""
    asked = node.exec("curl", "-s", "--unix-socket", "/run/docker.sock", "http://docker/info")
    return str(json.loads(asked.stdout)["FirewallBackend"]["Driver"])


def insecure(node: LabNode) -> list[str]:
    """The networks whose registries dockerd trusts without TLS."""
    found: list[str] = docker_info(node)["RegistryConfig"]["InsecureRegistryCIDRs"]
    return sorted(found)


def starts(node: LabNode) -> int:
    """How often dockerd has started since the node's boot."""
    return _logged(node, "Daemon has completed initialization")


def reloads(node: LabNode) -> int:
    """Return how often dockerd has reloaded the file."""
    return _logged(node, "Reloaded configuration")


def _logged(node: LabNode, line: str) -> int:
    return node.exec("journalctl", "-q", "-o", "cat", "-u", "docker").stdout.count(line)
