"""The last lines of a run from pyinfra's command line: each host's outcome, and what to do next."""

from __future__ import annotations

import atexit
import os
import re
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal
from weakref import WeakKeyDictionary

import gevent  # type: ignore[import-untyped] # it is not annotated
import pyinfra
from pyinfra import logger
from pyinfra.api import Host, State
from pyinfra.api.operation import OperationMeta
from pyinfra.api.output import format_text
from pyinfra.api.state import BaseStateCallback, StateOperationHostData, StateStage

from pyinfra_gvisor.drift.record import RECORD_PATH
from pyinfra_gvisor.facts.deadline import given_up, limit
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.report.summary import (
    DECLINED_PATH,
    GOOD,
    OPEN,
    RESULT_DIR,
    Counted,
    HostEnd,
    Job,
    RunEnd,
    ended_early,
    outcome,
    summary,
)
from pyinfra_gvisor.run_support.brief import Brief
from pyinfra_gvisor.run_support.confirming import ask_to_change
from pyinfra_gvisor.run_support.interrupting import end_on_signals
from pyinfra_gvisor.run_support.look import look_at
from pyinfra_gvisor.run_support.reports import close_reports, ends_after_plan, is_result_whole
from pyinfra_gvisor.run_support.terminal import wrap_messages

# What scripts on nodes write when they fail: errors.Problem.at.
_ERROR = re.compile(r"[a-z_]+(?:\.[a-z_]+)?: .{1,200}? on \S+: (.+)")

_Place = tuple[str | None, bool]
_DEPLOY: _Place = (None, False)
_LOOK: _Place = ("look", False)


@dataclass
class _Notes:
    """What a deploy, or one of its operations, has said of a host for the summary."""

    causes: list[str] = field(default_factory=list)
    refused: bool = False
    strays: bool = False
    proven: Literal["now", "before"] | None = None
    restart_pending: bool = False
    ends_containers: bool = False
    restarts: bool = False
    only_looks: bool = False


@dataclass
class _Run:
    """
    What is noted of one run.

    ``loading``: by host the greenlet that runs the deploy file. ``notes``: by host and place. A
    place is the operation (None: the deploy itself) and whether the operation was executed. While
    an operation is only prepared, its notes are a forecast. ``containers``: by host how many run
    in gVisor, and how many run.
    """

    job: Job
    loading: dict[str, Any] = field(default_factory=dict)
    notes: defaultdict[str, dict[_Place, _Notes]] = field(default_factory=lambda: defaultdict(dict))
    containers: dict[str, Counted] = field(default_factory=dict)
    to_refuse: dict[str, tuple[str, ...]] = field(default_factory=dict)
    rows_hidden: bool = False

    def of(self, host: Host) -> dict[str | None, _Notes]:
        """Return a host's notes by operation: after a plan the forecasts, else what came true."""
        return {
            operation: notes
            for (operation, executed), notes in self.notes[host.name].items()
            if operation is None or executed == host.state.is_executing
        }


_RUNS: WeakKeyDictionary[State, _Run] = WeakKeyDictionary()


class _Watch(BaseStateCallback):
    """Drops the notes of an attempt before the next one (``--retry``), and marks failed hosts."""

    @staticmethod
    def operation_host_retry(state: State, host: Host, op_hash: str, *_: object) -> None:
        _RUNS[state].notes[host.name].pop((op_hash, True), None)

    @staticmethod
    def operation_host_error(state: State, host: Host, op_hash: str, *_: object) -> None:
        # pyinfra itself does so when the operation has ended on all hosts; with --no-wait never.
        ignored = state.get_op_data_for_host(host, op_hash).global_arguments["_ignore_errors"]
        if given_up(host) or not ignored:
            state.failed_hosts.add(host)


def close_with_summary(host: Host, job: Job) -> None:
    """
    Have this run of pyinfra's command line end with a summary. To be called in the deploy.

    + job: what the run does; of several in one run the first one counts. ``connect`` is for a host
      that was not reached: a run that reaches no host loads no deploy
    """
    run = _RUNS.get(host.state) or close_state(host.state, job)
    if job != "connect":
        run.job = job if run.job == "connect" else run.job
        run.loading[host.name] = gevent.getcurrent()


def close_state(state: State, job: Job = "connect") -> _Run:
    """
    Have a run end: in time on each host, with a summary, with the reports of all hosts and with the
    right exit code.
    """
    run = _RUNS[state] = _Run(job)
    state.add_callback_handler(_Watch())
    end_on_signals(state)
    for host in state.inventory:
        limit(host)
    # pyinfra has no hook at its end. The drift command has its own last lines.
    if pyinfra.is_cli and RECORD_PATH not in os.environ:
        brief = Brief(state, partial(_is_explained, run)) if DECLINED_PATH in os.environ else None
        wrap_messages(brief)
        atexit.register(partial(_print, state))
        if brief:
            atexit.register(brief.flush)  # before the summary, if the run ends early
            ask_to_change(partial(_restarting, state), plans=ends_after_plan(state))
    return run


def _notes(host: Host) -> _Notes:
    """Return the notes to add to: those of the host's current operation, or of its deploy."""
    run = _RUNS.get(host.state)
    if run is None:
        return _Notes()  # no summary
    place = _LOOK if look_at(host) else (host.current_op_hash, host.state.is_executing)
    return run.notes[host.name].setdefault(place, _Notes())


def keep_look(host: Host, *, settled: bool) -> None:
    """
    End a look at what the operations on a host would do.

    + settled: none would do anything: what they noted counts, for they are not run
    """
    run = _RUNS.get(host.state)
    seen = run.notes[host.name].pop(_LOOK, None) if run else None
    if run and seen and settled:
        run.notes[host.name][_DEPLOY] = seen


def because(host: Host, cause: str) -> None:
    """
    Keep for the summary why a host fails.

    + cause: what is wrong, and what to do, as ``str(Problem)`` has it
    """
    _notes(host).causes.append(cause)


def is_refused(host: Host, cause: str) -> None:
    """Keep for the summary that nothing is done on a host, and why."""
    because(host, cause)
    _notes(host).refused = True


def is_not_compliant(host: Host, cause: str) -> None:
    """Keep for the summary that the audit fails a host, and why."""
    because(host, cause)
    _notes(host).strays = True


def is_restart_pending(host: Host) -> None:
    """Keep for the summary that declared keys take effect only when dockerd is restarted."""
    _notes(host).restart_pending = True


def is_applied(host: Host, node: Node) -> None:
    """Keep for the summary what a node is after its daemon.json was applied."""
    info = node.info
    _notes(host).ends_containers = info is not None and not info.live_restore


def without_place(host: Host, reason: str) -> str:
    """Return a reason without what stands before it: the operation, the file and the host."""
    return reason.partition(f" on {host.name}: ")[2] or reason


def _is_explained(run: _Run, host: Host) -> bool:
    """Return True if the summary, or the result, says why a host fails."""
    return any(notes.causes for notes in run.of(host).values())


def restarts_docker(host: Host) -> None:
    """Keep for the question before changes that the current operation restarts dockerd."""
    _notes(host).restarts = True


def _restarting(state: State) -> list[str]:
    going_on = (host.name for host in state.active_hosts)
    of = _RUNS[state].notes
    return sorted(name for name in going_on if any(one.restarts for one in of[name].values()))


def only_looks(host: Host) -> None:
    """Keep for the summary that the current operation changes nothing that is declared."""
    _notes(host).only_looks = True


def is_proven(
    host: Host, made: Literal["now", "before"] = "now", *, rows_hidden: bool = False
) -> None:
    """Keep for the summary that a proof holds for a host, and whether it was shown in short."""
    _notes(host).proven = made
    if run := _RUNS.get(host.state):
        run.rows_hidden |= rows_hidden


def count_containers(host: Host, node: Node) -> None:
    """Keep for the summary how many containers run in gVisor on a host, and how many may not."""
    found = node.containers if node.info else ()
    places = [node.places.get(item.id) for item in found if not item.sandboxed]
    accepted = sum(place is not None and place.where == "runc" for place in places)
    if (run := _RUNS.get(host.state)) and node.info:
        run.containers[host.name] = Counted(len(found) - len(places), len(found), accepted)
        refused = (place.name for place in node.places.values() if place.where == "refused")
        run.to_refuse[host.name] = tuple(sorted(refused))


def counted(host: Host) -> Counted | None:
    """Return what ``count_containers`` kept; None if nothing was."""
    run = _RUNS.get(host.state)
    return run.containers.get(host.name) if run else None


def ended(state: State) -> RunEnd | None:
    """Return what is known of the run now; None if no deploy of ours was loaded."""
    return run_end(state) if state in _RUNS else None


def run_end(state: State) -> RunEnd:
    """Return what is known of the run now."""
    run = _RUNS[state]
    hosts = [host for host in state.inventory if state.is_host_in_limit(host)]
    return RunEnd(
        job=run.job,
        hosts=tuple(_host_end(state, run, host) for host in hosts),
        dry=ends_after_plan(state),
        executed=state.is_executing,
        rows_hidden=run.rows_hidden,
        limited=len(hosts) < len(state.inventory),
    )


def _host_end(state: State, run: _Run, host: Host) -> HostEnd:
    by_operation = run.of(host)
    notes = by_operation.values()
    looking = {key for key, item in by_operation.items() if item.only_looks}
    metas = {key: item.operation_meta for key, item in state.ops[host].items()}
    acting = [meta for key, meta in metas.items() if key not in looking]
    forecast = [meta._maybe_is_change for meta in acting]  # as pyinfra's prints.py
    failed = host in state.failed_hosts
    silent = given_up(host)
    causes = dict.fromkeys(cause for item in notes for cause in item.causes)
    made = {item.proven for item in notes}
    return HostEnd(
        name=host.name,
        reached=host in state.activated_hosts,
        looked_at=_is_looked_at(state, run, host),
        failed=failed,
        refused=any(item.refused for item in notes),
        strays=any(item.strays for item in notes),
        causes=(str(silent),)
        if silent
        else tuple(causes or (_said(state, host) if failed else ())),
        answers=silent is None,
        changed=any(map(_did_something, acting)),
        proven=next((when for when in ("now", "before") if when in made), None),
        pending=any(forecast) if state.check_for_changes else None,
        restart_pending=any(item.restart_pending for item in notes),
        ends_containers=any(item.ends_containers for item in notes),
        finished=all(meta.is_complete() for meta in metas.values()),
        containers=counted(host),
        to_refuse=run.to_refuse.get(host.name, ()),
    )


def _is_looked_at(state: State, run: _Run, host: Host) -> bool:
    """Return True if a deploy of ours was called for a host, and the deploy file ran to its end."""
    loading = run.loading.get(host.name)
    if loading is None:
        return False
    if state.is_executing or not isinstance(loading, gevent.Greenlet):
        return True  # pyinfra executes after it has run every file; as a library it runs no file
    # pyinfra_cli/util.py of pyinfra 3.10: the greenlet returns None, or the file's exception.
    return loading.successful() and loading.value is None


def _did_something(meta: OperationMeta) -> bool:
    """Return True if an operation has executed a command, other than the one that failed."""
    failed = meta.is_complete() and meta.did_error()
    return len(meta._commands or ()) > (1 if failed else 0)


def _said(state: State, host: Host) -> list[str]:
    """Return the failed step of a host, with the error of the script that it ran on the node."""
    for key, item in state.ops[host].items():
        meta = item.operation_meta
        if meta.is_complete() and not meta.did_succeed():
            name = next(iter(state.get_op_meta(key).names)).rpartition(" | ")[2]
            error = _last_error(item) or "failed, see the lines of this step above"
            return [f"{name}: {error}"]
    return []


def _last_error(item: StateOperationHostData) -> str | None:
    found = [match[1] for line in item.operation_meta.stderr_lines if (match := _ERROR.match(line))]
    return found[-1] if found else None


def _print(state: State) -> None:
    idle = state.activated_hosts or state.current_stage < StateStage.Connect
    if _RUNS[state].job == "connect" and idle:
        return  # the run did something else than our deploys
    close_reports(state)
    end = run_end(state)
    if is_result_whole(state) or _is_told(end):
        return  # the command that began this run prints it
    if (path := os.environ.get(DECLINED_PATH)) and ended_early(end):
        Path(path).touch()
    headline, *lines = summary(end)
    logger.info(f"--> {headline[0]}")
    for text, word in lines:
        label, colon, rest = text.partition(":")
        logger.info(f"{_coloured(label, word)}{colon}{rest}")


def _is_told(end: RunEnd) -> bool:
    """Return True if all went well, and the command that began this run has its own last lines."""
    asks = end.job == "apps" and RESULT_DIR in os.environ
    return asks and all(outcome(host, end) in GOOD for host in end.hosts)


def _coloured(label: str, word: str) -> str:
    if not word:
        return label
    return format_text(label, "green" if word in GOOD else "yellow" if word in OPEN else "red")
