"""Have dockerd ask before it does anything for a request, or have it not ask."""

from __future__ import annotations

from typing import Any

from pyinfra.api import operation
from pyinfra.api.command import PyinfraCommand

from pyinfra_gvisor.daemon_json.shared_lists import PLUGIN
from pyinfra_gvisor.node import DAEMON_JSON, Node
from pyinfra_gvisor.parts.door.files import ADDRESS, DIRECTORY, NAME
from pyinfra_gvisor.parts.door.plan import declared_program, plan_door
from pyinfra_gvisor.parts.judge.files import UNITS
from pyinfra_gvisor.parts_common.plan import PartPlan
from pyinfra_gvisor.run_support.converge import Commands, converge
from pyinfra_gvisor.run_support.run_script import run_script
from pyinfra_gvisor.settings import Settings

OPERATION = "door.plugin"


def apply(settings: Settings) -> None:
    """Have the door of a host's settings. Called by a deploy, before daemon.json names it."""
    plugin(program=declared_program(settings), name="Open the door for dockerd's questions")


def remove(_settings: Settings | None) -> None:
    """Have no door. Called by a deploy, after daemon.json names it no more."""
    plugin(program=None, name="Remove the door")


@operation()
def plugin(program: str | None) -> Commands:
    """
    Have a service that tells dockerd what it may do: an authorization plugin of Docker.

    + program: path of the judge's program, which came with the wrappers; None removes the service

    dockerd asks only while daemon.json names it. A removal is refused before that. If its program
    does not run, a small one refuses all that is new, so that dockerd starts in any case.
    """

    def plan(node: Node) -> PartPlan:
        return plan_door(node, program)

    yield from converge(OPERATION, NAME, plan, _command, settled="the door is as declared")


def _command(plan: PartPlan) -> PyinfraCommand:
    given: dict[str, Any] = {"unit": NAME, "units": UNITS, "directory": DIRECTORY}
    if plan.action == "remove":
        given |= {"plugin": PLUGIN, "file": DAEMON_JSON}
        return run_script(OPERATION, "parts/door/remove", change="remove", **given)
    given["address"] = ADDRESS
    return run_script(OPERATION, "parts/door/install", change="apply", files=plan.files, **given)
