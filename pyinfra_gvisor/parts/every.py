"""Every part, in the order in which a deploy puts them on a node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.daemon_json.plan import Plan
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.part import Part, Stage
from pyinfra_gvisor.parts_common.members import members
from pyinfra_gvisor.settings import Settings

_FOUND: tuple[Part, ...] = tuple(members("part", "PART").values())
PARTS = tuple(part for stage in get_args(Stage) for part in _FOUND if part.stage == stage)


def at(stage: Stage) -> Iterator[Part]:
    """Return the parts of a stage of a deploy, in order."""
    return (part for part in PARTS if part.stage == stage)


def refusals(node: Node, settings: Settings, plan: Plan | None = None) -> list[Problem]:
    """
    Return the reasons why a node cannot have its declared parts; empty if it can.

    + plan: the changes of daemon.json in the same run; None if they are not known yet
    """
    found = (part.refusal(node, settings, plan) for part in PARTS)
    return [problem for problem in found if problem]
