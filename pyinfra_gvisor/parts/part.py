"""What a part is: when it comes, who wants it, and who cannot have it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pyinfra_gvisor.daemon_json.plan import Plan
from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.settings import Settings

Stage = Literal["before daemon.json", "before the proof", "last"]


@dataclass(frozen=True)
class Part:
    """
    Something of ours that stands on a node where it is declared, and nowhere else.

    ``name`` is that of its package here, and of its operation's module, in which ``have`` puts it
    there or takes it away. ``stage`` says when a deploy does so; a removal goes the way back.
    ``check`` raises ``Problem`` where a node cannot have what is declared, given what the same run
    makes of daemon.json (None: nobody knows yet); without it nothing is known before it is tried.
    ``needs`` and ``source`` say that for people.
    """

    name: str
    stage: Stage
    declared: Callable[[Settings], bool]
    check: Callable[[Node, Settings, Plan | None], object] | None = None
    needs: str = ""
    source: str = ""

    def there(self, node: Node) -> bool:
        """Whether any of it is on the node."""
        return self.name in node.parts and node.parts[self.name].there

    def refusal(self, node: Node, settings: Settings, plan: Plan | None) -> Problem | None:
        """Why the node cannot have it; None if it can, or if it is not declared."""
        if self.check is None or not self.declared(settings):
            return None
        try:
            self.check(node, settings, plan)
        except Problem as problem:
            return problem
        return None
