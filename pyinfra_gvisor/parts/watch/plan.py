"""The watch on a node: a timer that looks for containers that must be in a sandbox and are not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.node_files import NodeFile
from pyinfra_gvisor.parts.plan import PartPlan
from pyinfra_gvisor.parts.watch.files import (
    METRICS,
    POLICY,
    SCRIPT,
    SERVICE,
    TIMER,
    policy_text,
    script_text,
    service_text,
    timer_text,
)
from pyinfra_gvisor.parts.watch.state import WatchState
from pyinfra_gvisor.policy.selectors import Exemption, Selector
from pyinfra_gvisor.policy.settings import AuditSettings


@dataclass(frozen=True)
class Watch:
    """
    The watch as it has to be. ``interval_s`` is from one look to the next.

    Raises ``Problem`` for what cannot be written into a unit of systemd's.
    """

    must: Sequence[Selector]
    exempt: Sequence[Exemption]
    interval_s: int = 120
    action: Literal["report", "stop"] = "report"
    textfile_dir: str | None = None

    def __post_init__(self) -> None:
        if self.interval_s < 1:
            raise Problem("no time between two looks", got=self.interval_s, todo="10 s or more")
        if self.action not in ("report", "stop"):
            raise Problem("no such action", got=self.action, todo="write report or stop")
        if self.textfile_dir and not re.fullmatch(r"/[A-Za-z0-9._/-]+", self.textfile_dir):
            todo = "write an absolute path of letters, digits and ._-"
            raise Problem("not a directory for textfiles", got=self.textfile_dir, todo=todo)

    @property
    def textfile(self) -> str | None:
        """Where its metrics go."""
        return f"{self.textfile_dir.rstrip('/')}/{METRICS}" if self.textfile_dir else None


def declared_watch(settings: AuditSettings) -> Watch | None:
    """The watch that a host's settings ask for; None for none."""
    if not settings.watch:
        return None
    return Watch(
        must=settings.must_sandbox,
        exempt=settings.exempt,
        interval_s=settings.watch_interval_s,
        action=settings.watch_action,
        textfile_dir=settings.textfile_dir,
    )


def plan_watch(found: WatchState, wanted: Watch | None, *, init: str) -> PartPlan:
    """
    What to do so that the watch is as it has to be, or gone.

    + wanted: None for no watch
    + init: the node's first process

    Raises ``Problem`` where a watch is wanted and no systemd could start it.
    """
    if wanted is None:
        gone = tuple(f"remove {path}" for path in found.files)
        return PartPlan("remove", ("stop the watch", *gone)) if found.there else PartPlan()
    if init != "systemd":
        todo = "leave gvisor_watch off for this node, and run deploys/audit.py from a timer"
        raise Problem("the watch needs systemd on the node", got=init, todo=todo)
    files = _files(wanted)
    other = [item.path for item in files if not item.is_as(found.files.get(item.path))]
    if not other and found.enabled and found.timer == "active":
        return PartPlan()
    then = "and stop what is found" if wanted.action == "stop" else "and stop nothing"
    start = f"start the watch: look every {wanted.interval_s} s, say what is found, {then}"
    return PartPlan(
        "have",
        (*(f"write {path}" for path in other), start),
        files=files,
        settings={"textfile": wanted.textfile or ""},
    )


def _files(wanted: Watch) -> tuple[NodeFile, ...]:
    policy = policy_text(wanted.must, wanted.exempt, wanted.action, wanted.textfile)
    return (
        NodeFile(SCRIPT, "755", script_text()),
        NodeFile(POLICY, "644", policy),
        NodeFile(SERVICE, "644", service_text(wanted.textfile_dir)),
        NodeFile(TIMER, "644", timer_text(wanted.interval_s)),
    )
