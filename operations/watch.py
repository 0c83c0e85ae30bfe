"""Install or remove the watch, which checks that containers that must run in gVisor do."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

from pyinfra_gvisor.dispatch.preview import Preview
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.watch.files import DIRECTORY, METRICS, NAME
from pyinfra_gvisor.parts.watch.plan import Watch, named_stops, plan_watch
from pyinfra_gvisor.parts.watch.state import WatchState
from pyinfra_gvisor.parts_common.plan import PartPlan
from pyinfra_gvisor.parts_common.timed import timer_variables
from pyinfra_gvisor.policy.selectors import Exemption, Selector
from pyinfra_gvisor.run_support.converge import Commands, converge
from pyinfra_gvisor.run_support.run_script import timer_command
from pyinfra_gvisor.run_support.settled import operation
from pyinfra_gvisor.runtimes import wrappers
from pyinfra_gvisor.settings import Settings

OPERATION = "watch.watch"
_TIMER = timer_variables(DIRECTORY, NAME, METRICS)


def apply(settings: Settings) -> None:
    """Install the watch as a host's settings declare. Called by a deploy."""
    watch(
        wanted=True,
        must=settings.must_sandbox,
        exempt=settings.exempt,
        interval_s=settings.watch_interval_s,
        action=settings.watch_action,
        textfile_dir=settings.textfile_dir,
        default=settings.preview if settings.dispatch else None,
        judge=wrappers.judge(settings.release).path,
        name="Install the watch for containers outside gVisor",
    )


def remove(_settings: Settings | None) -> None:
    """Remove the watch. Called by a deploy."""
    watch(wanted=False, name="Remove the watch for containers outside gVisor")


@operation()
def watch(
    wanted: bool,
    *,
    must: Sequence[Selector] = (),
    exempt: Sequence[Exemption] = (),
    interval_s: int = 120,
    action: Literal["report", "stop"] = "report",
    textfile_dir: str | None = None,
    default: Preview | None = None,
    judge: str = "",
) -> Commands:
    """
    Install the systemd timer that looks for containers that must run in gVisor but do not.

    + wanted: whether to install it; False removes the timer and its files
    + must: which containers must run in gVisor
    + exempt: which of these are exempt
    + interval_s: seconds between two checks
    + action: ``report`` writes findings to the node's journal; ``stop`` also stops the containers
    + textfile_dir: directory for its Prometheus metrics (node exporter); None writes no metrics
    + default: the policy of the default runtime, by which every container must that is no
      infrastructure, instead of ``must`` and ``exempt``; None: as these say
    + judge: with ``default``, the path of the judge's program

    Fails the host, with nothing changed, if the node has no systemd, no perl or no such directory.
    """

    def plan(node: Node) -> PartPlan:
        declared = (must, exempt, interval_s, action, textfile_dir, default, judge)
        asked = Watch(*declared) if wanted else None
        stops = named_stops(node) if asked and asked.stops_by_default else ()
        return plan_watch(node.part(WatchState), asked, init=node.init, stops=stops)

    command = partial(timer_command, OPERATION, _TIMER)
    yield from converge(OPERATION, NAME, plan, command, settled="the watch is as declared")
