"""A node with the resolver, or without it."""

from __future__ import annotations

from typing import Any

from pyinfra_gvisor.parts.resolver.state import ResolverState
from tests.cases.fleet import Node
from tests.unit.answers import answer
from tests.unit.resolver.resolver_answers import told


def having(*found: ResolverState, **more: Any) -> Node:
    """A node with these, one after the other; ``given``: what ``answer`` is given for the rest."""
    given = more.pop("given", {})
    return Node([[*told(item), *answer(**given)] for item in found], **more)
