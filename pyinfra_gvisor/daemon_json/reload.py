"""What a running dockerd loses when it reloads daemon.json, and which file it refuses to reload."""

from __future__ import annotations

from collections.abc import Mapping

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json, JsonText
from pyinfra_gvisor.daemon_json.reach import USERLAND_PROXY
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


PROXY_PATH = "userland-proxy-path"
PATH_CHECKED_SINCE = (25, 0)
"""
Since then dockerd refuses to reload a file that has docker-proxy on without its path.

At a reload dockerd checks the file alone, without its own defaults: "userland-proxy is enabled, but
userland-proxy-path is not set" (moby v25 daemon/config/config_linux.go, ValidatePlatformConfig).
Seen with 26.1.5, 28.5.2 and 29.7.1; 20.10.24 reloads such a file. All start with it.
"""

NO_PATH = (
    f'dockerd refuses every reload: "{USERLAND_PROXY}" is true without "{PROXY_PATH}" beside it'
)
NO_PATH_REMEDY = f'remove "{USERLAND_PROXY}" from the file, because docker-proxy is on by default'


def is_refused_at_reload(node: Node, value: Mapping[str, Json]) -> bool:
    """Return True if this node's dockerd starts with this file, but refuses to reload it."""
    version = dockerd_version(node)
    if version is not None and version < PATH_CHECKED_SINCE:
        return False
    return value.get(USERLAND_PROXY) is True and not value.get(PROXY_PATH)


def reloadable(node: Node, text: str | None) -> str | None:
    """
    Return a file with the same effect that dockerd accepts at a reload; None if it needs none.

    Without the key docker-proxy is on, too.
    """
    document = None if text is None else JsonText(text)
    if document is None or not is_refused_at_reload(node, document.value):
        return None
    return document.remove((USERLAND_PROXY,)).text


def unloadable(node: Node) -> str | None:
    """Return why dockerd refuses every reload of the node's file, None if it does not."""
    try:
        refused = reloadable(node, node.daemon_json.text) is not None
    except Problem:  # reported elsewhere
        return None
    return NO_PATH if refused else None


def refuse_unloadable(node: Node, wanted: Mapping[str, Json], value: Mapping[str, Json]) -> None:
    """
    Raise ``Problem`` if the declared keys make a file that dockerd refuses to reload.

    + wanted: the declared keys
    + value: the planned file
    """
    if wanted.get(USERLAND_PROXY) is True and is_refused_at_reload(node, value):
        raise Problem(
            f"with the declared keys {NO_PATH}",
            todo=f'declare "{USERLAND_PROXY}": None, because docker-proxy is on by default; or '
            f'declare "{PROXY_PATH}" as well',
        )
