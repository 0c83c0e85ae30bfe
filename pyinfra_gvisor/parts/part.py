"""What a part is: when a deploy applies it, how it is declared, and which nodes it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.daemon_json.plan import Plan
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.settings import Settings

Stage = Literal["before daemon.json", "around daemon.json", "before the proof", "last"]


@dataclass(frozen=True)
class Part:
    """
    A part of a node that is on the node if it is declared, and not otherwise.

    ``name`` is the name of its package here, and of its operation's module, whose functions
    ``apply`` and ``remove`` are each a step with its own name. ``stage`` is when a deploy calls
    them; a removal goes in reverse order. A part around daemon.json comes before it, and goes after
    it. ``check`` raises ``Problem`` if a node cannot have what is declared, given the plan of
    daemon.json (None: not known yet). Without ``check`` only trying shows that. ``needs`` and
    ``source`` describe it in the documentation. ``key`` is its own setting without the prefix,
    empty if another setting declares the part. ``off`` is the value that removes it, and ``title``
    its name in messages (``planning/absence.py``). ``surplus`` tells whether a node has more of a
    declared part than is declared.
    """

    name: str
    stage: Stage
    declared: Callable[[Settings], bool]
    check: Callable[[Node, Settings, Plan | None], object] | None = None
    needs: str = ""
    source: str = ""
    key: str = ""
    off: str = "None"
    title: str = ""
    surplus: Callable[[Node, Settings], bool] = lambda _node, _settings: False

    def there(self, node: Node) -> bool:
        """Return True if anything of the part is on the node."""
        return self.name in node.parts and node.parts[self.name].there

    def exceeds(self, node: Node, settings: Settings) -> bool:
        """Return True if anything of the part is on the node that is not declared."""
        return self.surplus(node, settings) if self.declared(settings) else self.there(node)

    def refusal(self, node: Node, settings: Settings, plan: Plan | None) -> Problem | None:
        """Return why the node cannot have the part; None if it can or the part is not declared."""
        if self.check is None or not self.declared(settings):
            return None
        try:
            self.check(node, settings, plan)
        except Problem as problem:
            return problem
        return None
