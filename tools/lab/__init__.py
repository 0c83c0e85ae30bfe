"""Throwaway run nodes, each with its own sshd and dockerd: containers or virtual machines."""

from tools.lab.fleet import Lab, tell_on_stderr
from tools.lab.node import LabNode, Ran
from tools.lab.runsc import Runsc
from tools.lab.runsc import chosen as chosen_runsc
from tools.lab.spec import FLAVOURS, Flavour, LabError, NodeSpec, lab_arch, lab_name, node_specs

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
