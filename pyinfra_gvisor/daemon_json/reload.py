"""What a running dockerd loses when it reloads daemon.json."""

from __future__ import annotations

from pyinfra_gvisor.daemon_json.validation import dockerd_version
from pyinfra_gvisor.node import Node

FORGETTING = ((28, 0), (29, 3))
"""
From the first to before the second, dockerd forgets the address of host-gateway at any reload.

From 29.0 it also forgets the addresses in ``dns``. Both stay forgotten until it is restarted. Seen
with 28.5.2. Its source is daemon/reload.go, which moby's commit e30b1d549526 corrects.
"""


def lost_at_reload(node: Node) -> str | None:
    """Return what this node's dockerd loses at a reload, None if nothing or if it is not known."""
    version, (first, end) = dockerd_version(node), FORGETTING
    if version is None or not first <= version < end:
        return None
    return "Docker 28.0 to 29.2 forgets host-gateway at a reload"
