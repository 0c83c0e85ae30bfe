"""Throwaway run nodes, each with its own sshd and dockerd: containers or virtual machines."""

from pyinfra_gvisor.lab.command import Ran
from pyinfra_gvisor.lab.fleet import Lab, tell_on_stderr
from pyinfra_gvisor.lab.node import LabNode
from pyinfra_gvisor.lab.runsc import Runsc
from pyinfra_gvisor.lab.runsc import chosen as chosen_runsc
from pyinfra_gvisor.lab.spec import (
    FLAVOURS,
    Flavour,
    LabError,
    NodeSpec,
    lab_arch,
    lab_name,
    node_specs,
)

__all__ = [
    "FLAVOURS",
    "Flavour",
    "Lab",
    "LabError",
    "LabNode",
    "NodeSpec",
    "Ran",
    "Runsc",
    "chosen_runsc",
    "lab_arch",
    "lab_name",
    "node_specs",
    "tell_on_stderr",
]
