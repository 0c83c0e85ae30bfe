"""What has to be done so that a part is on a node as it is declared, or gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pyinfra_gvisor.node_files import NodeFile


@dataclass(frozen=True)
class PartPlan:
    """
    One shape for all parts; where ``action`` is ``nothing``, nothing else is said.

    ``keep``: it is declared no more, and stays as it is for those who use it. ``lines`` are told,
    ``warnings`` louder. ``files`` are written; ``gone`` are those to remove that no script knows by
    itself. ``texts`` are shown as differences: by path what is there, and what will be;
    None: no file. ``settings`` are what its script has to know besides.
    """

    action: Literal["nothing", "keep", "have", "remove"] = "nothing"
    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    files: tuple[NodeFile, ...] = field(default=(), repr=False)
    gone: tuple[str, ...] = ()
    texts: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict, repr=False)
    settings: Mapping[str, str] = field(default_factory=dict)
