"""Have the judge resident, so that wrappers do not load it for each container, or remove it."""

from __future__ import annotations

from typing import Any

from pyinfra.api import operation
from pyinfra.api.command import PyinfraCommand

from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.judge.files import NAME, UNITS
from pyinfra_gvisor.parts.judge.plan import declared_program, plan_judge
from pyinfra_gvisor.parts_common.plan import PartPlan
from pyinfra_gvisor.run_support.converge import Commands, converge
from pyinfra_gvisor.run_support.run_script import run_script
from pyinfra_gvisor.settings import Settings

OPERATION = "judge.resident"


def apply(settings: Settings) -> None:
    """Have the judge of a host's settings resident. Called by a deploy."""
    resident(program=declared_program(settings), name="Start the resident judge")


def remove(_settings: Settings | None) -> None:
    """Have no resident judge. Called by a deploy."""
    resident(program=None, name="Remove the resident judge")


@operation()
def resident(program: str | None) -> Commands:
    """
    Have a service that decides where containers run, and what they may have, for the wrappers.

    + program: path of the judge's program, which came with the wrappers; None removes the service

    Nothing depends on it: if it does not answer, wrappers run the same program themselves. systemd
    holds its socket, so no question is lost when it restarts. A node without systemd only gets a
    warning.
    """

    def plan(node: Node) -> PartPlan:
        return plan_judge(node, program)

    yield from converge(OPERATION, NAME, plan, _command, settled="the judge is as declared")


def _command(plan: PartPlan) -> PyinfraCommand:
    given: dict[str, Any] = {"unit": NAME, "units": UNITS, **plan.settings}
    if plan.action == "remove":
        return run_script(OPERATION, "parts/judge/remove", change="remove", **given)
    return run_script(OPERATION, "parts/judge/install", change="apply", files=plan.files, **given)
