"""Plan what has to change so that the resident judge is on a node as declared, or removed."""

from __future__ import annotations

from typing import Any

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.node_files import NodeFile
from pyinfra_gvisor.daemon_json.effective import value_in_force
from pyinfra_gvisor.daemon_json.shared_lists import AUTHORIZATION
from pyinfra_gvisor.dispatch.programs import JUDGE_SOCKET
from pyinfra_gvisor.judge.rules import PLUGIN
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.judge.files import ADDRESS, Asking, judge_files
from pyinfra_gvisor.parts.judge.state import JudgeState
from pyinfra_gvisor.parts_common.plan import PartPlan
from pyinfra_gvisor.runtimes.wrappers import asks_judge, judge
from pyinfra_gvisor.settings import Settings

_NOSYMFOLLOW = (5, 10)  # mount(2), MS_NOSYMFOLLOW
NOT_RESIDENT = (
    "this node has no systemd, or its Python has no asyncio, so the judge does not run as a "
    "service. Each start of a container takes about 0.1 s longer"
)


def declared_program(settings: Settings) -> str | None:
    """Return the path of the judge's program; None if no declared wrapper runs the judge."""
    if not asks_judge(settings.runtimes, settings.dispatch):
        return None
    return judge(settings.release).path


def declared_files(node: Node, settings: Settings) -> tuple[NodeFile, ...]:
    """Return the declared files; empty if no declared wrapper runs the judge."""
    program = declared_program(settings)
    if program is None:
        return ()
    return judge_files(program, _asking(node) if settings.has_door else None)


def _asking(node: Node) -> Asking | None:
    if not node.supervisor.unit:
        return None
    root = node.info.root_dir if node.info else value_in_force(node, "data-root")
    return Asking(node.supervisor.unit, str(root or "/var/lib/docker"))


def is_asked(node: Node) -> bool:
    """Return True if dockerd asks the judge, or is going to at its next start."""
    return node.part(JudgeState).is_asked or names_judge(node)


def names_judge(node: Node) -> bool:
    """Return True if daemon.json has dockerd ask the judge."""
    named = value_in_force(node, AUTHORIZATION)
    return isinstance(named, list) and PLUGIN in named


def refuse_node(node: Node) -> None:
    """Raise ``Problem`` if dockerd cannot ask on a node."""
    if node.init != "systemd" or not node.supervisor.unit:
        raise Problem(
            "gvisor_default needs systemd, which starts the judge before dockerd",
            got=f"{node.init or 'none'}, dockerd in {node.supervisor.unit or 'no unit'}",
            todo='use a node with systemd, or set gvisor_door = "off"',
        )
    if problem := node.python.lacks("gvisor_default needs", "asyncio"):
        raise problem
    otherwise = 'or set gvisor_door = "off"'
    if node.kernel_version < _NOSYMFOLLOW:
        raise Problem(
            "gvisor_default needs Linux 5.10, so that dockerd follows no link in a volume",
            got=node.kernel,
            todo=f"upgrade the node's kernel, {otherwise}",
        )
    if node.linked_volume is not None:
        raise Problem(
            "with gvisor_default dockerd follows no symbolic link in volumes, so dockerd would "
            "not find this volume",
            got=node.linked_volume,
            todo=f"replace the link with a bind mount, also in /etc/fstab, {otherwise}",
        )


def plan_judge(node: Node, program: str | None, *, door: bool | None) -> PartPlan:
    """
    Return the changes after which the judge is resident as declared, or not resident.

    + program: path of its program; None removes it
    + door: whether dockerd asks it; None: not, but as long as it asks, nothing is changed

    On a node without systemd the plan only warns: wrappers run the program themselves. Raises
    ``Problem`` if dockerd cannot ask there.
    """
    found = node.part(JudgeState)
    if program is None:
        return PartPlan("remove", ("stop the judge's service",)) if found.there else PartPlan()
    if door is None and is_asked(node):
        return PartPlan()
    if door:
        refuse_node(node)
    elif node.init != "systemd" or node.python.lacks("", "asyncio"):
        return PartPlan(warnings=(NOT_RESIDENT,))
    files = judge_files(program, _asking(node) if door else None)
    lines = [f"write {path}" for path, _ in found.other(files)]
    if found.is_asked and not door:
        lines.append("let dockerd start without the judge")
    if door and found.links in ("", "wanted"):
        lines.append("let containers follow links in volumes, but no program of the node")
    if not lines and found.enabled and not found.down(asked=bool(door)):
        return PartPlan()
    lines.append(f"start the judge at {JUDGE_SOCKET}{f' and {ADDRESS}' if door else ''}")
    settings: dict[str, Any] = {"program": program, "address": ADDRESS if door else ""}
    return PartPlan("apply", tuple(lines), files=files, settings=settings)
