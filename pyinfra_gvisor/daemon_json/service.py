"""Which script part reloads, restarts and reads the log of a node's dockerd."""

from __future__ import annotations

from pyinfra_gvisor.node import Node

PARTS = {
    "systemd": "service_systemd",
    "openrc": "service_init",
    "sysvinit": "service_init",
    "process": "service_process",
}


def service_script(node: Node) -> str:
    """
    The name of the part to read in front of ``dockerd.sh``, for ``scripts.script``.

    It defines ``service_reload``, ``service_restart``, ``service_log`` and ``service_name``, and
    wants ``unit`` and ``timeout_s`` (seconds) set before it is read, ``work`` (a directory) and
    ``began`` (seconds since 1970) before they are called.
    """
    return PARTS[node.supervisor.kind]
