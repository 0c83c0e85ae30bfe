"""A container as the judge sees it, with the names of Docker's API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_NAMELESS = re.compile("([0-9a-f]{64})?")  # Docker gives such a name to a volume without one


@dataclass(frozen=True)
class Mount:
    """
    A mount point of a container.

    + destination: its path in the container
    + source: its path on the node
    + kind: Docker's type, such as ``bind`` or ``volume``; empty in files of old versions
    + name: the name of a volume
    + driver: the driver of a volume
    + writable: whether the container can write there, or in a mount below
    + options: what the options of a volume of driver ``local`` mount on the volume: MountType,
      MountOpts and MountDevice, as in its opts.json; empty if nothing
    + copies: whether dockerd will copy the image's files there if it is empty
    """

    destination: str
    source: str = ""
    kind: str = "bind"
    name: str = ""
    driver: str = ""
    writable: bool = True
    options: Mapping[str, str] = field(default_factory=dict)
    copies: bool = False

    @property
    def is_volume(self) -> bool:
        """Return True for a volume of Docker."""
        return self.kind == "volume" or (not self.kind and self.name != "")

    @property
    def is_plain_volume(self) -> bool:
        """Return True for a volume that has only files that containers wrote."""
        return self.is_volume and self.driver in ("", "local") and not self.options

    def __str__(self) -> str:
        """
        Return ``source:destination:rw``, as an entry of the policy has it.

        The source of a plain volume is ``volume=NAME``, or ``volume`` if it has no name. That of
        files in memory is ``tmpfs``. No entry can have ``image=NAME``: it may be called "volume".
        """
        source = self.source
        if self.kind not in ("", "bind", "volume"):
            source = "tmpfs" if self.kind == "tmpfs" else f"{self.kind}={source}"
        if self.is_plain_volume:
            source = "volume" if _NAMELESS.fullmatch(self.name) else f"volume={self.name}"
        return f"{source}:{self.destination}:{'rw' if self.writable else 'ro'}"


@dataclass(frozen=True)
class Container:
    """
    A container, as Docker describes it.

    + image_id: the id of its image on the node; ``name``: without a slash
    + program: what runs, with all arguments: Path and Args
    + secrets: whether swarm or compose gave it secrets or configs
    + config: its ``Config``; ``host``: its ``HostConfig``
    """

    id: str
    name: str
    image_id: str
    program: tuple[str, ...]
    mounts: tuple[Mount, ...]
    secrets: bool
    config: Mapping[str, Any]
    host: Mapping[str, Any]
