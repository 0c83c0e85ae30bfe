"""Plan what has to change so that the resident judge is on a node as declared, or removed."""

from __future__ import annotations

from pyinfra_gvisor.base.node_files import NodeFile
from pyinfra_gvisor.dispatch.programs import JUDGE_SOCKET
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.judge.files import judge_files
from pyinfra_gvisor.parts.judge.state import JudgeState
from pyinfra_gvisor.parts_common.plan import PartPlan
from pyinfra_gvisor.runtimes.wrappers import asks_judge, judge
from pyinfra_gvisor.settings import Settings

WITHOUT_SYSTEMD = (
    "this node does not run systemd, so the judge is not resident: each start of a container takes "
    "about 0.1 s longer"
)


def declared_program(settings: Settings) -> str | None:
    """Return the path of the judge's program; None if no declared wrapper runs the judge."""
    if not asks_judge(settings.runtimes, settings.dispatch):
        return None
    return judge(settings.release).path


def declared_files(settings: Settings) -> tuple[NodeFile, ...]:
    """Return the declared units; empty if no declared wrapper runs the judge."""
    program = declared_program(settings)
    return () if program is None else judge_files(program)


def plan_judge(node: Node, program: str | None) -> PartPlan:
    """
    Return the changes after which the judge is resident as declared, or not resident.

    + program: path of its program; None removes its units

    On a node without systemd the plan only warns: wrappers run the program themselves.
    """
    found = node.part(JudgeState)
    if program is None:
        return PartPlan("remove", ("stop the resident judge",)) if found.there else PartPlan()
    if node.init != "systemd":
        return PartPlan(warnings=(WITHOUT_SYSTEMD,))
    files = judge_files(program)
    other = [path for path, _ in found.other(files)]
    if not other and found.answers and found.enabled:
        return PartPlan()
    lines = (*(f"write {path}" for path in other), f"have the judge answer at {JUDGE_SOCKET}")
    return PartPlan("apply", lines, files=files, settings={"program": program})
