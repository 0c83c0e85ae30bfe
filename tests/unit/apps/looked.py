"""Running containers as the look at a node prints them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pyinfra_gvisor.apps.seen import END, App, Apps, parse_apps

NOTHING = {"cut": False, "tmp_bytes": 0, "listens": [], "watched": [], "raw": []}


def looked(
    name: str = "shop",
    *,
    mounts: Sequence[Mapping[str, Any]] = (),
    seen: Mapping[str, Any] | None = None,
    labels: Mapping[str, str] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """A container: ``options`` as ``HostConfig`` has them, ``seen`` what differs from nothing."""
    return {
        "Id": hashlib.sha256(name.encode()).hexdigest(),
        "Name": f"/{name}",
        "Image": "shop:1",
        "Labels": {**(labels or {})},
        "HostConfig": {"Runtime": "runc", "CapAdd": None, "PidsLimit": None, **options},
        "Mounts": list(mounts),
        "Seen": {**NOTHING, **(seen or {})},
    }


def volume(source: str, target: str, *, socket: bool = False) -> dict[str, Any]:
    """A mount."""
    return {"Type": "bind", "Source": source, "Destination": target, "Socket": socket}


def looked_lines(*apps: Mapping[str, Any], sockets: Sequence[str] = ()) -> list[str]:
    """The node's answer."""
    told = [f"app {json.dumps(item)}" for item in apps]
    return [*told, f"sockets {json.dumps([*sockets])}", END]


def around(*apps: Mapping[str, Any], sockets: Sequence[str] = ()) -> tuple[App, Apps]:
    """The first of some containers, and all of them."""
    found = parse_apps(looked_lines(*apps, sockets=sockets))
    name = apps[0]["Name"].removeprefix("/")
    return next(item for item in found.apps if item.name == name), found
