"""Plan what has to change so that the watch is on a node as declared, or removed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.node_files import NodeFile
from pyinfra_gvisor.dispatch.preview import Preview
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.watch.files import (
    METRICS,
    POLICY,
    SCRIPT,
    SERVICE,
    TIMER,
    ByDefault,
    policy_text,
    script_text,
    service_text,
    timer_of,
)
from pyinfra_gvisor.parts.watch.state import WatchState
from pyinfra_gvisor.parts_common.plan import PartPlan
from pyinfra_gvisor.policy.selectors import Exemption, Selector
from pyinfra_gvisor.runtimes.wrappers import judge
from pyinfra_gvisor.settings import Settings


@dataclass(frozen=True)
class Watch:
    """
    The declared watch. ``interval_s`` is the time in seconds between two checks. With ``default``,
    the policy of the default runtime, ``must`` and ``exempt`` do not count; ``judge`` is then the
    path of the judge's program.

    Raises ``Problem`` for a value that cannot be written into a systemd unit.
    """

    must: Sequence[Selector]
    exempt: Sequence[Exemption]
    interval_s: int = 120
    action: Literal["report", "stop"] = "report"
    textfile_dir: str | None = None
    default: Preview | None = None
    judge: str = ""

    def __post_init__(self) -> None:
        if self.interval_s < 1:
            todo = "write 10 s or more"
            what = "the interval between two checks is too short"
            raise Problem(what, got=f"{self.interval_s} s", todo=todo)
        if self.action not in ("report", "stop"):
            todo = "write report or stop"
            raise Problem("unknown action of the watch", got=self.action, todo=todo)
        if self.textfile_dir and not re.fullmatch(r"/[A-Za-z0-9._/-]+", self.textfile_dir):
            todo = "write an absolute path of letters, digits and ._-"
            what = "the textfile directory cannot be written into a systemd unit"
            raise Problem(what, got=self.textfile_dir, todo=todo)

    @property
    def stops_by_default(self) -> bool:
        """Return True if it stops containers that the policy of the default runtime excludes."""
        return self.default is not None and self.action == "stop"

    @property
    def textfile(self) -> str | None:
        """Return the path of the metrics file; None if no metrics are written."""
        return f"{self.textfile_dir.rstrip('/')}/{METRICS}" if self.textfile_dir else None


def declared_watch(settings: Settings) -> Watch | None:
    """Return the watch that a host's settings declare; None if they declare none."""
    if not settings.watch:
        return None
    return Watch(
        must=settings.must_sandbox,
        exempt=settings.exempt,
        interval_s=settings.watch_interval_s,
        action=settings.watch_action,
        textfile_dir=settings.textfile_dir,
        default=settings.preview if settings.dispatch else None,
        judge=judge(settings.release).path,
    )


def named_stops(node: Node) -> tuple[str, ...]:
    """Return the running containers that a watch that stops would stop, by the default runtime."""
    return tuple(
        item.name
        for item in node.containers
        if item.verdict.state == "bare"
        and (place := node.places.get(item.id)) is not None
        and place.where != "runc"
    )


def plan_watch(
    found: WatchState, wanted: Watch | None, *, init: str, stops: Sequence[str] = ()
) -> PartPlan:
    """
    Return the changes after which the watch is as declared, or removed.

    + wanted: the declared watch; None removes it
    + init: the name of the node's first process
    + stops: the containers that its first check stops

    Raises ``Problem`` if a watch is declared and the node does not run systemd.
    """
    if wanted is None:
        gone = tuple(f"remove {path}" for path in found.files)
        return PartPlan("remove", ("stop the watch", *gone)) if found.there else PartPlan()
    if init != "systemd":
        todo = "turn gvisor_watch off for this node, and run `pyinfra-gvisor audit` from a timer"
        raise Problem("the watch needs systemd on the node", got=init, todo=todo)
    files = _files(wanted)
    other = found.other(files)
    if not other and found.runs:
        return PartPlan()
    then = "report and stop" if wanted.action == "stop" else "report"
    start = (
        f"start the watch: check every {wanted.interval_s} s, {then} containers that must run in "
        "gVisor but do not"
    )
    return PartPlan(
        "apply",
        (*(f"write {path}" for path in other), start),
        (f"the watch will stop these containers: {', '.join(stops)}",) if stops else (),
        files=files,
        settings={"textfile": wanted.textfile or ""},
    )


def _files(wanted: Watch) -> tuple[NodeFile, ...]:
    policy = policy_text(
        wanted.must,
        wanted.exempt,
        wanted.action,
        wanted.textfile,
        default=ByDefault(wanted.default.choosing, wanted.judge) if wanted.default else None,
    )
    return (
        NodeFile(SCRIPT, "755", script_text()),
        NodeFile(POLICY, "644", policy),
        NodeFile(SERVICE, "644", service_text(wanted.textfile_dir)),
        NodeFile(TIMER, "644", timer_of(wanted.interval_s)),
    )
