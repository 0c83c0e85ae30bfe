"""Two nodes: a stand-in for Coolify's control host, and a run node that it deploys to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pyinfra_gvisor.lab import FLAVOURS, Flavour, LabNode, NodeSpec
from tests.coolify.host import ControlHost

_PHP = ("busybox-static", "jq", "php-cli", "php-illuminate-collections", "php-illuminate-support")


def _with(flavour: Flavour, *packages: str) -> Flavour:
    """Of the tests, not of the lab: nobody else needs half of it. One image once per recipe."""
    packages = tuple(sorted({*flavour.packages, *_PHP, *packages}))
    return replace(flavour, name=f"{flavour.name}-coolify", packages=packages)


FLAVOUR = _with(FLAVOURS["debian-13"], "caddy", "docker-compose")
SPECS = {"control": NodeSpec(FLAVOUR), "run": NodeSpec(FLAVOUR)}
# Debian 12 has no "docker compose", which is a plugin; Coolify's installer brings Docker's own.
OTHERS = {
    "docker-20": NodeSpec(_with(FLAVOURS["debian-12"], "curl")),
    "docker-28": NodeSpec(_with(FLAVOURS["debian-13-docker-28"], "docker-compose")),
}


@dataclass(frozen=True)
class Coolify:
    """A fleet as Coolify has it, by the names in ``SPECS``."""

    nodes: Mapping[str, LabNode]

    @property
    def control(self) -> ControlHost:
        """The control host."""
        return ControlHost(self.nodes["control"])

    @property
    def run(self) -> LabNode:
        """The node that apps are deployed to."""
        return self.nodes["run"]


def prepare(nodes: Mapping[str, LabNode]) -> Coolify:
    """
    Make a control host and a run node of two nodes of ``FLAVOUR``.

    What earlier tests have left of Coolify on the control host is gone then.
    """
    for node in nodes.values():
        node.exec(
            "systemctl", "disable", "--now", "caddy"
        )  # Debian starts it, and it takes port 80
    coolify = Coolify(nodes)
    coolify.control.prepare()
    return coolify
