"""The changes after which a part is on a node as declared, or removed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pyinfra_gvisor.base.node_files import NodeFile


@dataclass(frozen=True)
class PartPlan:
    """
    The plan of any part. If ``action`` is ``nothing``, all other fields are empty.

    ``keep``: no longer declared, but left as it is for containers that use it. ``lines`` are
    printed, ``warnings`` as warnings. ``files`` are written. ``removed`` are files to remove that
    the script does not know. ``texts`` are shown as diffs: by path the text before and after, None
    for no file. ``settings`` are further variables of the script.
    """

    action: Literal["nothing", "keep", "apply", "remove"] = "nothing"
    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    files: tuple[NodeFile, ...] = field(default=(), repr=False)
    removed: tuple[str, ...] = ()
    texts: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict, repr=False)
    settings: Mapping[str, str] = field(default_factory=dict)
