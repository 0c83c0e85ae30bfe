"""Plan what has to change so that the door is on a node as declared, or removed."""

from __future__ import annotations

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.node_files import NodeFile
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.door.files import ADDRESS, door_files
from pyinfra_gvisor.parts.door.state import DoorState
from pyinfra_gvisor.parts_common.plan import PartPlan
from pyinfra_gvisor.runtimes.wrappers import judge
from pyinfra_gvisor.settings import Settings


def declared_program(settings: Settings) -> str | None:
    """Return the path of the judge's program; None if no door is declared."""
    return judge(settings.release).path if settings.has_door else None


def declared_files(node: Node, settings: Settings) -> tuple[NodeFile, ...]:
    """Return the declared files; empty if no door is declared."""
    program = declared_program(settings)
    return () if program is None else door_files(program, node.supervisor.unit)


def refuse_node(node: Node) -> None:
    """Raise ``Problem`` if the node cannot have a door."""
    if node.init != "systemd" or not node.supervisor.unit:
        raise Problem(
            "gvisor_door needs systemd, which holds the socket at which dockerd asks",
            got=node.init or "none",
            todo='use a node with systemd, or set gvisor_door = "off"',
        )
    if problem := node.python.lacks("gvisor_door needs", "asyncio"):
        raise problem


def plan_door(node: Node, program: str | None) -> PartPlan:
    """
    Return the changes after which the door is as declared, or away.

    + program: path of the judge's program; None removes the door

    Raises ``Problem`` if the node cannot have it.
    """
    found = node.part(DoorState)
    if program is None:
        return PartPlan("remove", ("close the door",)) if found.there else PartPlan()
    refuse_node(node)
    files = door_files(program, node.supervisor.unit)
    other = [path for path, _ in found.other(files)]
    if not other and found.runs and found.enabled:
        return PartPlan()
    lines = (*(f"write {path}" for path in other), f"have the door answer at {ADDRESS}")
    return PartPlan("apply", lines, files=files)
