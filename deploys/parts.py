"""
What stands on a node beside the runtimes, each in its turn.

Not in ``host.loop``: from a wheel pyinfra tells our operations apart by how many came before, and
with a position in a loop besides hosts with different parts would be in no common order.
"""

from __future__ import annotations

from importlib import import_module

from pyinfra import host

from pyinfra_gvisor.facts.node import read_node
from pyinfra_gvisor.parts.every import at
from pyinfra_gvisor.parts.part import Part, Stage
from pyinfra_gvisor.settings import Settings


def have_parts(settings: Settings, stage: Stage) -> None:
    """The parts of a stage as the settings declare them; those that are not declared go."""
    for part in at(stage):
        if part.declared(settings) or _is_there(part):
            _bring(part, settings)


def remove_parts(stage: Stage) -> None:
    """Every part of a stage goes, the last one first."""
    for part in reversed([*at(stage)]):
        if _is_there(part):
            _bring(part, None)


def _is_there(part: Part) -> bool:
    node = read_node(host)
    return node is not None and part.there(node)


def _bring(part: Part, settings: Settings | None) -> None:
    # Most runs have none of them, and modules of operations take long to load.
    import_module(f"pyinfra_gvisor.operations.{part.name}").have(settings)
