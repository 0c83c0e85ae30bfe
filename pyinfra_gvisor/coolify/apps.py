"""
Apps that get the option, one after the other: each written at most once, from what it says then.

Whatever ends a run, the next one goes on: what is set is seen to be, and what was to be deployed
anew has been written down before the first app was set.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from pyinfra_gvisor.coolify.api import Api
from pyinfra_gvisor.coolify.models import Application
from pyinfra_gvisor.coolify.options import runtime_of
from pyinfra_gvisor.coolify.plan_lines import plan_lines
from pyinfra_gvisor.coolify.redeploy import redeploy
from pyinfra_gvisor.coolify.resources import Verdict, quoted
from pyinfra_gvisor.coolify.survey import Choice, Survey, judge_app, survey
from pyinfra_gvisor.coolify.transport import NoAnswer, NotFound, Refused, Rejected, UnknownOutcome
from pyinfra_gvisor.errors import cut

__all__ = ["Choice", "Outcome", "Survey", "carry_out", "plan_lines", "survey"]

Tell = Callable[[str], None]
KeepOwed = Callable[[frozenset[str]], None]

SILENT_IN_A_ROW = 3  # apps without an answer after which Coolify is taken to be down


@dataclass(frozen=True)
class Outcome:
    """
    How it went, apps by name. ``failed`` is with the reasons.

    ``left``: how many apps were not come to; ``stopped``: why. ``owed``: uuids of apps that are
    still to be deployed anew.
    """

    set: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    redeployed: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    left: int = 0
    stopped: str = ""
    owed: frozenset[str] = frozenset()

    @property
    def ok(self) -> bool:
        """Whether everything that was to be done was."""
        return not (self.failed or self.left or self.stopped)

    @property
    def summary(self) -> str:
        """One line for people."""
        words = (
            f"{len(self.set)} set",
            f"{len(self.unchanged)} set already",
            f"{len(self.redeployed)} restarted",
            f"{len(self.failed)} failed",
            f"{self.left} left",
        )
        return f"apps: {', '.join(words)}{f'; stopped: {self.stopped}' if self.stopped else ''}"


def carry_out(  # noqa: PLR0913 (what it works with, and what it tells)
    api: Api,
    found: Survey,
    choice: Choice,
    *,
    owed: frozenset[str],
    keep_owed: KeepOwed,
    tell: Tell,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """
    Set the option on the apps that need it, see that they have it, and restart them if wanted.

    + found: what ``survey`` has found; an app that has changed since is taken as it is now
    + owed: uuids of apps that an earlier run was to restart and did not
    + keep_owed: writes down which apps are still to be restarted, in place of those before
    + tell: is told every step in a line

    An app that fails does not keep others from being set. Ends early, and says so, if Coolify
    refuses the token or does not answer any more. Raises what ``keep_owed`` and ``tell`` raise.
    """
    restarts = choice.redeploy == "changed"
    if not found.to_set and not (restarts and owed):
        return Outcome(owed=owed)
    debts, stopped, timeout_s = _Debts(owed, keep_owed), "", choice.redeploy_timeout_s
    run = _Run(api, found, choice, debts, tell)
    if restarts:
        debts.become(owed | {item.uuid for item in found.to_set})
    try:
        run.set_all()
        run.verify()
        if restarts:
            debts.become(owed | (debts.uuids - run.untouched))
            run.restart_all(partial(redeploy, api, timeout_s=timeout_s, sleep=sleep, clock=clock))
    except (Refused, NoAnswer) as problem:
        stopped = str(problem)
    outcome = run.outcome(stopped)
    tell(outcome.summary)
    return outcome


class _Debts:
    """The apps that are to be restarted, always as they are written down."""

    def __init__(self, uuids: frozenset[str], keep: KeepOwed) -> None:
        self.uuids = uuids
        self._keep = keep

    def become(self, uuids: frozenset[str]) -> None:
        """Have others written down in their place."""
        if uuids != self.uuids:
            self.uuids = uuids
            self._keep(uuids)


class _Run:
    """
    One run over the apps, and what has come of it so far.

    ``untouched``: apps of which it is known that this run did not set them.
    """

    def __init__(self, api: Api, found: Survey, choice: Choice, debts: _Debts, tell: Tell) -> None:
        self._api = api
        self._found = found
        self._choice = choice
        self._tell = tell
        self._debts = debts
        self._verdicts = {item.uuid: item for item in found.verdicts}
        self._set: dict[str, Verdict] = {}
        self._unchanged: dict[str, Verdict] = {}
        self._failed: list[tuple[str, str]] = []
        self._redeployed: list[str] = []
        self._left = 0
        self._silent = 0
        self.untouched: set[str] = set()

    def outcome(self, stopped: str) -> Outcome:
        """What has come of it."""
        return Outcome(
            set=tuple(item.name for item in self._set.values()),
            unchanged=tuple(item.name for item in self._unchanged.values()),
            redeployed=tuple(self._redeployed),
            failed=tuple(self._failed),
            left=self._left,
            stopped=stopped,
            owed=self._debts.uuids,
        )

    def set_all(self) -> None:
        """Set the option where it is to be set; raises ``Refused`` and ``NoAnswer``."""
        for item in self._counted([each.uuid for each in self._found.to_set]):
            self._guarded(item, self._set_one)

    def verify(self) -> None:
        """See in one request that the apps that were set have it; raises as ``set_all``."""
        if not self._set and not self._unchanged:
            return
        now = {app.uuid: app for app in self._api.applications()}
        for items in (self._set, self._unchanged):
            for uuid, item in list(items.items()):
                app = now.get(uuid)
                if app is None or not self._asks(app):
                    del items[uuid]
                    if app is None:
                        self._tell(f"{item.label}: is gone")
                    else:
                        self._fail(item.label, "somebody has changed it since; run again")

    def restart_all(self, restart: Callable[[str], str | None]) -> None:
        """Restart those that are owed, one at a time; raises as ``set_all``."""
        owed = self._debts.uuids
        order = [uuid for uuid in self._verdicts if uuid in owed]
        for uuid in self._counted([*order, *sorted(owed.difference(order))]):
            self._guarded(uuid, lambda uuid: self._restart_one(uuid, restart))

    def _counted(self, uuids: list[str]) -> Iterator[str]:
        for at, uuid in enumerate(uuids):
            self._left = len(uuids) - at
            yield uuid
        self._left = 0

    def _guarded(self, uuid: str, work: Callable[[str], None]) -> None:
        """Have one app's failure be its own, unless it is the third in a row without an answer."""
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
            self._tell(f"{item.label}: is gone")
        elif now.state == "enforced":
            self._unchanged[uuid] = now
            self._tell(f"{now.label}: is set already")
        elif now.state != "to_set" or now.after is None:
            self._fail(now.label, f"it was changed since it was looked at: {now.text}")
        else:
            self._write(uuid, now.after)
            self._set[uuid] = now
            self._tell(f"{now.label}: set to {quoted(now.after)}")

    def _write(self, uuid: str, text: str) -> None:
        try:
            self._api.set_options(uuid, text)
        except UnknownOutcome as problem:
            self.untouched.discard(uuid)  # it may be done later
            now = self._now(uuid)
            if now is None or now.state != "enforced":
                todo = "it does not have the option; run again"
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
            self._fail(label, f"not restarted while its status is {cut(app.status)}; run again")
            return
        elif app:
            self._tell(f"{label}: is restarted")
            failure = restart(uuid)
            if failure:
                self._fail(label, failure)
                return
            self._redeployed.append(app.name)
            self._tell(f"{label}: runs with the option")
        self._debts.become(self._debts.uuids - {uuid})

    def _no_restart(self, uuid: str, app: Application | None) -> str:
        """Why an app needs no restart by us, or an empty text."""
        known = self._verdicts.get(uuid)
        if app is None:
            return "it is gone"
        if known and known.state == "exempt":
            return f"it is exempt: {known.text}"
        if not self._asks(app):
            return f"it does not ask for {self._choice.runtime}"
        if app.status.startswith("exited"):
            return "it is stopped, and takes the option over when it is started"
        return ""

    def _now(self, uuid: str) -> Verdict | None:
        """The verdict by what Coolify says now; None if the app is gone."""
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
