"""Give the place of runc to a program of ours, or give it back."""

from __future__ import annotations

from typing import Any

from pyinfra.api.command import PyinfraCommand

from pyinfra_gvisor.dispatch.programs import BUILDS
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.divert.files import CHANGING, PROGRAM
from pyinfra_gvisor.parts.divert.plan import declared_divert, plan_divert
from pyinfra_gvisor.parts_common.plan import PartPlan
from pyinfra_gvisor.run_support.converge import Commands, converge
from pyinfra_gvisor.run_support.run_script import run_script
from pyinfra_gvisor.run_support.settled import operation
from pyinfra_gvisor.settings import Settings

OPERATION = "divert.runc"
_PLACES = "parts/divert/places"


def apply(settings: Settings) -> None:
    """Have runc and builds handled by the policy of a host's settings. Called by a deploy."""
    runc(wanted=settings, name="Apply the policy to builds and to containers that ask for runc")


def remove(_settings: Settings | None) -> None:
    """Restore runc. Called by a deploy."""
    runc(wanted=None, name="Restore runc")


@operation()
def runc(wanted: Settings | None) -> Commands:
    """
    Give the place of runc to a program that hands Docker's containers to the default runtime.

    + wanted: the settings of the host; None restores runc

    The package's runc is diverted with dpkg-divert, and runc without a package is moved beside its
    place. While a container is in a sandbox by our program, a removal leaves the program, which
    then puts no other container into a sandbox.
    """

    def plan(node: Node) -> PartPlan:
        return plan_divert(node, declared_divert(wanted, node) if wanted else None)

    yield from converge(OPERATION, PROGRAM, plan, _command, settled="runc is as declared")


def _command(plan: PartPlan) -> PyinfraCommand:
    given: dict[str, Any] = {**CHANGING, **plan.settings}
    if plan.action == "remove":
        return run_script(
            OPERATION, _PLACES, "parts/divert/remove", change="remove", builds=BUILDS, **given
        )
    names = (_PLACES, "parts/divert/apply")
    return run_script(OPERATION, *names, change="apply", files=plan.files, **given)
