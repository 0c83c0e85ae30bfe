"""The script part that reloads and restarts a node's dockerd, and reads its log."""

from __future__ import annotations

from pyinfra_gvisor.node import Node

PARTS = {
    "systemd": "daemon_json/service_systemd",
    "openrc": "daemon_json/service_init",
    "sysvinit": "daemon_json/service_init",
    "process": "daemon_json/service_process",
}


def service_script(node: Node) -> str:
    """
    Return the name of the part to read before ``dockerd.sh``, for ``base.scripts.script``.

    The part defines ``service_reload``, ``service_restart``, ``service_log`` and ``service_name``.
    ``unit`` and ``timeout_s`` (seconds) must be set before the part is read. ``work`` (a directory)
    and ``began`` (seconds since 1970) must be set before these functions are called.
    """
    return PARTS[node.supervisor.kind]
