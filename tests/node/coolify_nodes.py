"""Two nodes: a stand-in for Coolify's control host, and a run node that it deploys to."""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.coolify.host import ControlHost
from tests.node.equipped import equipped, free_port_80
from tools.lab import LabNode, NodeSpec

SPECS = {name: NodeSpec(equipped("debian-13")) for name in ("control", "run")}
OTHERS = {
    "docker-20": NodeSpec(equipped("debian-12")),
    "docker-28": NodeSpec(equipped("debian-13-docker-28")),
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
    Make a control host and a run node of the two.

    What earlier tests have left of Coolify on the control host is gone then.
    """
    for node in nodes.values():
        free_port_80(node)
    coolify = Coolify(nodes)
    coolify.control.prepare()
    return coolify
