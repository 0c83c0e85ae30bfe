"""The watch on the node: whether every container that must be in a sandbox still is."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Literal

from pyinfra.api import operation
from pyinfra.api.command import PyinfraCommand

from pyinfra_gvisor.node import Node
from pyinfra_gvisor.operations.parts import bring
from pyinfra_gvisor.operations.sending import sent
from pyinfra_gvisor.parts.plan import PartPlan
from pyinfra_gvisor.parts.watch.files import NAME
from pyinfra_gvisor.parts.watch.plan import Watch, plan_watch
from pyinfra_gvisor.parts.watch.state import WatchState
from pyinfra_gvisor.policy.selectors import Exemption, Selector
from pyinfra_gvisor.settings import Settings

OPERATION = "watch.watch"


def have(settings: Settings | None) -> None:
    """The watch that a host's settings ask for, or none; to be called in a deploy."""
    if settings is None:
        watch(wanted=False, name="Remove the watch")
        return
    watch(
        wanted=settings.watch,
        must=settings.must_sandbox,
        exempt=settings.exempt,
        interval_s=settings.watch_interval_s,
        action=settings.watch_action,
        textfile_dir=settings.textfile_dir,
        name="Keep watch on the node",
    )


@operation()
def watch(
    wanted: bool,
    *,
    must: Sequence[Selector] = (),
    exempt: Sequence[Exemption] = (),
    interval_s: int = 120,
    action: Literal["report", "stop"] = "report",
    textfile_dir: str | None = None,
) -> Generator[PyinfraCommand, None, None]:
    """
    Have a timer of systemd's on the node that looks for containers without their sandbox, or none.

    + wanted: whether it is to be there; if not, nothing of it stays
    + must: which containers must run in a sandbox
    + exempt: which of these need not
    + interval_s: seconds between two looks
    + action: ``report`` says what is found in the node's journal, ``stop`` stops it besides
    + textfile_dir: where its metrics for Prometheus' node exporter go; None for none

    Fails the host, with nothing changed, where there is no systemd, no perl or no such directory.
    """

    def plan(node: Node) -> PartPlan:
        asked = Watch(must, exempt, interval_s, action, textfile_dir) if wanted else None
        return plan_watch(node.part(WatchState), asked, init=node.init)

    yield from bring(OPERATION, NAME, plan, _command, settled="the watch is as declared")


def _command(plan: PartPlan) -> PyinfraCommand:
    if plan.action == "remove":
        return sent(OPERATION, "watch_stop", "watch_remove")
    textfile = plan.settings["textfile"]
    return sent(OPERATION, "watch_stop", "watch_install", files=plan.files, textfile=textfile)
