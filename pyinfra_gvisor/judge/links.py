"""Whether links in Docker's volumes may be followed by containers only."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pyinfra_gvisor.judge.asked import NodePaths
from pyinfra_gvisor.judge.container import Mount
from pyinfra_gvisor.judge.docker_files import Undecided, read_container, read_object
from pyinfra_gvisor.judge.places import below
from pyinfra_gvisor.judge.rules import (
    DEFAULT_RUNTIME,
    PLUGIN,
    asks_for_runc,
    has_place_of_runc,
    in_force,
)

_ID = re.compile("[0-9a-f]{64}")
_NOT_FOLLOWED = 0x2000  # of statfs(2): ST_NOSYMFOLLOW


def follows_links(path: str) -> bool:
    """Return True if the kernel follows symbolic links on the file system at a path."""
    try:
        return not os.statvfs(path).f_flag & _NOT_FOLLOWED
    except OSError:
        return True


def wish(root: str, paths: NodePaths = NodePaths()) -> str:  # noqa: B008
    """
    Return whether nobody but containers should follow links in volumes, as ``volumes.sh`` reads it.

    ``wanted``; ``unwanted`` where dockerd does not ask before it acts; or ``followed`` with the
    names of containers that need their links: nobody asks the judge about them.

    + root: Docker's data root
    """
    path = paths.daemon_json
    daemon = read_object(path) if Path(path).exists() else {}
    asks = PLUGIN in (daemon.get("authorization-plugins") or ())
    if not asks or daemon.get("default-runtime") != DEFAULT_RUNTIME:
        return "unwanted"
    rules, runtimes = in_force(path)
    if rules.door != "refuse":
        return "unwanted"
    takes_runc = rules.takes_runc and has_place_of_runc(paths.divert)
    unasked = _unasked(root, runtimes, takes_runc, paths)
    names = sorted(name for name, mounts in unasked if _needs_links(mounts, f"{root}/volumes"))
    return f"followed {' '.join(names)}" if names else "wanted"


def _unasked(
    root: str, runtimes: Mapping[str, Any], takes_runc: bool, paths: NodePaths
) -> Iterator[tuple[str, tuple[Mount, ...] | None]]:
    """Yield the containers that no wrapper asks about, with their mounts if these are known."""
    for path in Path(root, "containers").glob("*/hostconfig.json"):
        identity = path.parent.name
        if not _ID.fullmatch(identity):
            continue
        try:
            asked = read_object(str(path)).get("Runtime") or ""
        except Undecided:  # removed meanwhile, or damaged: Docker does not know it either
            continue
        entry = runtimes.get(asked)
        own = below((entry or {}).get("path") or "", paths.runtimes) is not None
        is_runc = asks_for_runc(asked, entry)
        is_known = entry is not None or is_runc or "." in asked or "/" in asked
        if own or asked in ("", DEFAULT_RUNTIME) or (takes_runc and is_runc) or not is_known:
            continue
        try:
            container = read_container(root, identity)
        except Undecided:
            yield identity[:12], None
        else:
            yield container.name, container.mounts


def _needs_links(mounts: Iterable[Mount] | None, volumes: str) -> bool:
    """Return True if a mount is a volume, is in the directory of volumes, or has it below."""
    return mounts is None or any(
        mount.is_volume
        or below(mount.source, volumes) is not None
        or (mount.source != "" and below(volumes, mount.source) is not None)
        for mount in mounts
    )
