"""Have the judge resident, for wrappers and for dockerd, or remove it."""

from __future__ import annotations

from pyinfra.api.command import PyinfraCommand

from pyinfra_gvisor.base.node_files import UNITS
from pyinfra_gvisor.judge.rules import PLUGIN
from pyinfra_gvisor.node import DAEMON_JSON, Node
from pyinfra_gvisor.parts.judge.files import ADDRESS, DIRECTORY, NAME, PERMITS
from pyinfra_gvisor.parts.judge.plan import declared_program, plan_judge
from pyinfra_gvisor.parts_common.plan import PartPlan
from pyinfra_gvisor.run_support.converge import Commands, converge
from pyinfra_gvisor.run_support.run_script import run_script
from pyinfra_gvisor.run_support.settled import operation
from pyinfra_gvisor.settings import Settings

OPERATION = "judge.resident"


def apply(settings: Settings) -> None:
    """Have the judge of a host's settings. Called by a deploy, before daemon.json."""
    door = settings.has_door or None
    program = declared_program(settings)
    resident(program=program, door=door, name="Start the judge's service")


def remove(settings: Settings | None) -> None:
    """Have of the judge only what is declared. Called by a deploy, after daemon.json."""
    program = None if settings is None else declared_program(settings)
    name = "Remove the judge's service" if program is None else "Stop dockerd from asking the judge"
    resident(program=program, door=False, name=name)


@operation()
def resident(program: str | None, *, door: bool | None = False) -> Commands:
    """
    Have a service that decides where containers run, and what they may have.

    + program: path of the judge's program, which came with the wrappers; None removes the service
    + door: whether dockerd asks it, too, as an authorization plugin, once daemon.json names it.
      None: not, but if dockerd asks it now, nothing is changed. It is refused to end that, or to
      remove the service, while daemon.json names the plugin

    Wrappers run the same program themselves if it does not answer. systemd holds its sockets, so no
    question is lost when it restarts. If its program does not run, a small one refuses all that is
    new, so that dockerd starts in any case. A node without systemd only gets a warning.
    """

    def plan(node: Node) -> PartPlan:
        return plan_judge(node, program, door=door)

    yield from converge(OPERATION, NAME, plan, _command, settled="the judge is as declared")


def _command(plan: PartPlan) -> PyinfraCommand:
    does = "remove" if plan.action == "remove" else "install"
    return run_script(
        OPERATION,
        "parts/judge/door",
        f"parts/judge/{does}",
        change=plan.action,
        files=plan.files,
        unit=NAME,
        units=UNITS,
        directory=DIRECTORY,
        permits=PERMITS,
        plugin=PLUGIN,
        listens_at=ADDRESS,
        file=DAEMON_JSON,
        **plan.settings,
    )
