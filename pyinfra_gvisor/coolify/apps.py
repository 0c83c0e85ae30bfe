"""
Set the option on apps, one after the other; read each app right before, and write it at most once.

After an interrupted run the next one continues: it sees which apps are set, and which apps are to
be redeployed was recorded before the first one was set.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from pyinfra_gvisor.base.errors import cut
from pyinfra_gvisor.coolify.api import Api
from pyinfra_gvisor.coolify.models import Application
from pyinfra_gvisor.coolify.options import runtime_of
from pyinfra_gvisor.coolify.plan_lines import plan_lines
from pyinfra_gvisor.coolify.redeploy import redeploy
from pyinfra_gvisor.coolify.resources import Verdict, quoted
from pyinfra_gvisor.coolify.survey import Choice, Survey, judge_app, survey
from pyinfra_gvisor.coolify.transport import NoAnswer, NotFound, Refused, Rejected, UnknownOutcome

__all__ = ["Choice", "Outcome", "Survey", "carry_out", "plan_lines", "survey"]

Tell = Callable[[str], None]
KeepRedeploys = Callable[[frozenset[str]], None]

SILENT_IN_A_ROW = 3  # after so many apps without an answer, Coolify counts as down


@dataclass(frozen=True)
class Outcome:
    """
    The result of a run, apps by name. ``failed`` has the reasons.

    ``left``: how many apps the run did not reach, and ``stopped`` why. ``redeploys``: uuids of apps
    still to be redeployed.
    """

    set: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    redeployed: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    left: int = 0
    stopped: str = ""
    redeploys: frozenset[str] = frozenset()

    @property
    def ok(self) -> bool:
        """Return True if everything was done."""
        return not (self.failed or self.left or self.stopped)

    @property
    def summary(self) -> str:
        """Return the result in one line."""
        words = (
            f"{len(self.set)} set",
            f"{len(self.unchanged)} already set",
            f"{len(self.redeployed)} restarted",
            f"{len(self.failed)} failed",
            f"{self.left} not reached",
        )
        return f"apps: {', '.join(words)}{f'; stopped: {self.stopped}' if self.stopped else ''}"


def carry_out(  # noqa: PLR0913 (inputs, and the functions that it calls)
    api: Api,
    found: Survey,
    choice: Choice,
    *,
    redeploys: frozenset[str],
    keep_redeploys: KeepRedeploys,
    tell: Tell,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """
    Set the option on the apps that need it, check that they have it, and restart them if declared.

    + found: the result of ``survey``; an app that has changed since is read again
    + redeploys: uuids of apps that an earlier run should have restarted but did not
    + keep_redeploys: records which apps are still to be restarted, replacing the earlier record
    + tell: prints a line for each step

    If an app fails, the others are still set. Stops early, with the reason in the outcome, if
    Coolify refuses the token or stops answering. Raises what ``keep_redeploys`` and ``tell`` raise.
    """
    restarts = choice.redeploy == "changed"
    if not found.to_set and not (restarts and redeploys):
        return Outcome(redeploys=redeploys)
    record, stopped, timeout_s = _Record(redeploys, keep_redeploys), "", choice.redeploy_timeout_s
    run = _Run(api, found, choice, record, tell)
    if restarts:
        record.become(redeploys | {item.uuid for item in found.to_set})
    try:
        run.set_all()
        run.verify()
        if restarts:
            record.become(redeploys | (record.uuids - run.untouched))
            run.restart_all(partial(redeploy, api, timeout_s=timeout_s, sleep=sleep, clock=clock))
    except (Refused, NoAnswer) as problem:
        stopped = str(problem)
    outcome = run.outcome(stopped)
    tell(outcome.summary)
    return outcome


class _Record:
    """The apps still to be restarted, in memory and on the control host."""

    def __init__(self, uuids: frozenset[str], keep: KeepRedeploys) -> None:
        self.uuids = uuids
        self._keep = keep

    def become(self, uuids: frozenset[str]) -> None:
        """Record these apps instead."""
        if uuids != self.uuids:
            self.uuids = uuids
            self._keep(uuids)


class _Run:
    """
    One run over the apps, and its results so far.

    ``untouched``: apps that this run certainly did not set.
    """

    def __init__(
        self, api: Api, found: Survey, choice: Choice, record: _Record, tell: Tell
    ) -> None:
        self._api = api
        self._found = found
        self._choice = choice
        self._tell = tell
        self._record = record
        self._verdicts = {item.uuid: item for item in found.verdicts}
        self._set: dict[str, Verdict] = {}
        self._unchanged: dict[str, Verdict] = {}
        self._failed: list[tuple[str, str]] = []
        self._redeployed: list[str] = []
        self._left = 0
        self._silent = 0
        self.untouched: set[str] = set()

    def outcome(self, stopped: str) -> Outcome:
        """Return the result of the run."""
        return Outcome(
            set=tuple(item.name for item in self._set.values()),
            unchanged=tuple(item.name for item in self._unchanged.values()),
            redeployed=tuple(self._redeployed),
            failed=tuple(self._failed),
            left=self._left,
            stopped=stopped,
            redeploys=self._record.uuids,
        )

    def set_all(self) -> None:
        """Set the option on all apps that need it. Raises ``Refused`` and ``NoAnswer``."""
        for item in self._counted([each.uuid for each in self._found.to_set]):
            self._guarded(item, self._set_one)

    def verify(self) -> None:
        """Check with one request that the apps have the option. Raises what ``set_all`` raises."""
        if not self._set and not self._unchanged:
            return
        now = {app.uuid: app for app in self._api.applications()}
        for items in (self._set, self._unchanged):
            for uuid, item in list(items.items()):
                app = now.get(uuid)
                if app is None or not self._asks(app):
                    del items[uuid]
                    if app is None:
                        self._tell(f"{item.label}: deleted in the meantime")
                    else:
                        self._fail(item.label, "changed by somebody in the meantime; run again")

    def restart_all(self, restart: Callable[[str], str | None]) -> None:
        """Restart the recorded apps, one at a time. Raises what ``set_all`` raises."""
        redeploys = self._record.uuids
        order = [uuid for uuid in self._verdicts if uuid in redeploys]
        for uuid in self._counted([*order, *sorted(redeploys.difference(order))]):
            self._guarded(uuid, lambda uuid: self._restart_one(uuid, restart))

    def _counted(self, uuids: list[str]) -> Iterator[str]:
        for at, uuid in enumerate(uuids):
            self._left = len(uuids) - at
            yield uuid
        self._left = 0

    def _guarded(self, uuid: str, work: Callable[[str], None]) -> None:
        """Record an app's failure and go on, unless Coolify did not answer three times in a row."""
        try:
            work(uuid)
        except (Rejected, NotFound, UnknownOutcome, NoAnswer) as problem:
            self._fail(self._label(uuid), str(problem))
            self._silent = self._silent + 1 if isinstance(problem, NoAnswer) else 0
            if isinstance(problem, NoAnswer) and self._silent >= SILENT_IN_A_ROW:
                self._left -= 1
                raise
        else:
            self._silent = 0

    def _set_one(self, uuid: str) -> None:
        item = self._verdicts[uuid]
        self.untouched.add(uuid)
        now = self._now(uuid)
        if now is None:
            self._tell(f"{item.label}: deleted in the meantime")
        elif now.state == "enforced":
            self._unchanged[uuid] = now
            self._tell(f"{now.label}: already set")
        elif now.state != "to_set" or now.after is None:
            self._fail(now.label, f"changed by somebody in the meantime: {now.text}")
        else:
            self._write(uuid, now.after)
            self._set[uuid] = now
            self._tell(f"{now.label}: set to {quoted(now.after)}")

    def _write(self, uuid: str, text: str) -> None:
        try:
            self._api.set_options(uuid, text)
        except UnknownOutcome as problem:
            self.untouched.discard(uuid)  # Coolify may still carry it out.
            now = self._now(uuid)
            if now is None or now.state != "enforced":
                todo = "the app does not have the option; run again"
                raise UnknownOutcome(problem.what, got=problem.got, todo=todo) from None
        self.untouched.discard(uuid)

    def _restart_one(self, uuid: str, restart: Callable[[str], str | None]) -> None:
        known = self._verdicts.get(uuid)
        app = self._api.application(uuid)
        label = known.label if known else f"app {app.name if app else uuid}"
        why = self._no_restart(uuid, app)
        if why:
            self._tell(f"{label}: not restarted: {why}")
        elif app and not app.status.startswith("running"):
            why = f"not restarted, because its status is {cut(app.status)}; run again later"
            self._fail(label, why)
            return
        elif app:
            self._tell(f"{label}: restarting")
            failure = restart(uuid)
            if failure:
                self._fail(label, failure)
                return
            self._redeployed.append(app.name)
            self._tell(f"{label}: runs with the option")
        self._record.become(self._record.uuids - {uuid})

    def _no_restart(self, uuid: str, app: Application | None) -> str:
        """Return why an app needs no restart by us; empty if it needs one."""
        known = self._verdicts.get(uuid)
        if app is None:
            return "deleted in the meantime"
        if known and known.state == "exempt":
            return f"exempt: {known.text}"
        if not self._asks(app):
            return f"its options do not ask for {self._choice.runtime}"
        if app.status.startswith("exited"):
            return "stopped; the option takes effect when the app is started"
        return ""

    def _now(self, uuid: str) -> Verdict | None:
        """Return the verdict on an app as it is now; None if it was deleted."""
        app = self._api.application(uuid)
        if app is None:
            return None
        return judge_app(self._found.subjects[uuid], self._choice, app)

    def _asks(self, app: Application) -> bool:
        return runtime_of(app.custom_docker_run_options) == self._choice.runtime

    def _label(self, uuid: str) -> str:
        known = self._verdicts.get(uuid)
        return known.label if known else f"app {uuid}"

    def _fail(self, label: str, why: str) -> None:
        self._failed.append((label, why))
        self._tell(f"{label}: failed: {why}")
