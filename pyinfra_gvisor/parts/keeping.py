"""How the keeper knows that a part of a node is in force, and restores it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pyinfra_gvisor.base.node_files import NodeFile
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.settings import Settings


@dataclass(frozen=True)
class Keep:
    """
    What the keeper checks of a part.

    ``files`` returns the declared files of the part on a node. ``scripts`` are the shell files with
    its function ``<part>_wrong``, which prints what is not in force, one line each. If that cannot
    be told now, it prints why and returns ``$later``, which is an error after a while. A function
    ``<part>_lasting`` prints what only a reboot ends, which does not fail the unit. If they have
    ``<part>_restore``, the keeper calls that one, but only while the files are as declared.
    ``given`` returns the variables of these files.
    """

    scripts: tuple[str, ...]
    files: Callable[[Node, Settings], Sequence[NodeFile]]
    given: Callable[[Node, Settings], Mapping[str, str]] = lambda _node, _settings: {}
