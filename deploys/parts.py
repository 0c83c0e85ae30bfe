"""
Put the parts of a node, such as the egress firewall, on it or take them off, stage by stage.

Without ``host.loop``. Where pyinfra counts operations instead of telling them apart by their lines
(see ``deploys/__init__.py``), loop positions would contradict each other on hosts with different
parts, and pyinfra would end the run with a cycle error.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from pyinfra import host

from pyinfra_gvisor.facts.node import read_node
from pyinfra_gvisor.parts.every import at
from pyinfra_gvisor.parts.part import Part, Stage
from pyinfra_gvisor.settings import Settings


def apply_parts(settings: Settings, stage: Stage) -> None:
    """Apply the declared parts of a stage, and remove what is there but not declared."""
    add_parts(settings, stage)
    drop_parts(settings, stage)


def add_parts(settings: Settings, stage: Stage) -> None:
    """Apply the declared parts of a stage."""
    for part in at(stage):
        if part.declared(settings):
            _steps(part).apply(settings)


def drop_parts(settings: Settings, stage: Stage) -> None:
    """Remove what is there of the parts of a stage but not declared."""
    node = read_node(host)
    for part in at(stage):
        if node is not None and part.exceeds(node, settings):
            _steps(part).remove(settings)


def remove_parts(stage: Stage) -> None:
    """Remove every part of a stage, in reverse order."""
    node = read_node(host)
    for part in reversed([*at(stage)]):
        if node is not None and part.there(node):
            _steps(part).remove(None)


def _steps(part: Part) -> Any:
    """Import the part's operations only here: most runs need none, and the import takes long."""
    return import_module(f"pyinfra_gvisor.operations.{part.name}")
