"""The last lines of a run from pyinfra's command line: each host's outcome, and what to do next."""

from __future__ import annotations

import atexit
import os
import re
from dataclasses import dataclass, field
from functools import partial
from weakref import WeakKeyDictionary

import pyinfra
from pyinfra import logger
from pyinfra.api import Host, State
from pyinfra.api.output import format_text
from pyinfra.api.state import StateOperationHostData

from pyinfra_gvisor.drift.record import RECORD_PATH
from pyinfra_gvisor.operations.printing import wrap_messages
from pyinfra_gvisor.operations.reporting import ends_after_plan
from pyinfra_gvisor.report.summary import GOOD, OPEN, HostEnd, Job, RunEnd, summary

# What scripts on nodes write when they fail: errors.Problem.at.
_ERROR = re.compile(r"[a-z_]+(?:\.[a-z_]+)?: .{1,200}? on \S+: (.+)")


@dataclass
class _Run:
    """What operations have said of the hosts of one run."""

    job: Job
    causes: dict[str, list[str]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    strays: set[str] = field(default_factory=set)
    proven: set[str] = field(default_factory=set)
    looks: set[tuple[str, str]] = field(default_factory=set)
    rows_hidden: bool = False


_RUNS: WeakKeyDictionary[State, _Run] = WeakKeyDictionary()


def close_with_summary(host: Host, job: Job) -> None:
    """
    Have this run of pyinfra's command line end with a summary. To be called in the deploy.

    + job: what the run does; of several in one run the first one counts. ``connect`` is for a host
      that was not reached: a run that reaches no host loads no deploy
    """
    if run := _RUNS.get(host.state):
        run.job = job if run.job == "connect" else run.job
        return
    _RUNS[host.state] = _Run(job)
    # pyinfra has no hook at its end. The drift command has its own last lines.
    if pyinfra.is_cli and RECORD_PATH not in os.environ:
        wrap_messages()
        atexit.register(partial(_print, host.state))


def because(host: Host, cause: str) -> None:
    """
    Keep for the summary why a host fails.

    + cause: what is wrong, and what to do, as ``str(Problem)`` has it
    """
    if (run := _RUNS.get(host.state)) and cause not in run.causes.setdefault(host.name, []):
        run.causes[host.name].append(cause)


def is_refused(host: Host, cause: str) -> None:
    """Keep for the summary that nothing is done on a host, and why."""
    because(host, cause)
    if run := _RUNS.get(host.state):
        run.refused.add(host.name)


def is_not_as_declared(host: Host, cause: str) -> None:
    """Keep for the summary that the audit fails a host, and why."""
    because(host, cause)
    if run := _RUNS.get(host.state):
        run.strays.add(host.name)


def without_place(host: Host, reason: str) -> str:
    """Return a reason without what stands before it: the operation, the file and the host."""
    return reason.partition(f" on {host.name}: ")[2] or reason


def only_looks(host: Host) -> None:
    """Keep for the summary that the current operation changes nothing that is declared."""
    if (run := _RUNS.get(host.state)) and host.current_op_hash:
        run.looks.add((host.name, host.current_op_hash))


def is_proven(host: Host, *, rows_hidden: bool = False) -> None:
    """Keep for the summary that a proof holds for a host, and whether it was shown in short."""
    if run := _RUNS.get(host.state):
        run.proven.add(host.name)
        run.rows_hidden |= rows_hidden


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
    )


def _host_end(state: State, run: _Run, host: Host) -> HostEnd:
    operations = {
        key: item for key, item in state.ops[host].items() if (host.name, key) not in run.looks
    }
    metas = [item.operation_meta for item in operations.values()]
    every = [item.operation_meta for item in state.ops[host].values()]
    forecast = [item._maybe_is_change for item in metas]  # as pyinfra's prints.py
    failed = host in state.failed_hosts
    causes = run.causes.get(host.name, [])
    return HostEnd(
        name=host.name,
        reached=host in state.activated_hosts,
        failed=failed,
        refused=host.name in run.refused,
        strays=host.name in run.strays,
        causes=tuple(causes or (_said(state, host) if failed else ())),
        changed=any(item.is_complete() and item.did_change() for item in metas),
        proven=host.name in run.proven,
        pending=any(forecast) if state.check_for_changes else None,
        finished=all(item.is_complete() for item in every),
    )


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
    if _RUNS[state].job == "connect" and state.activated_hosts:
        return  # the run did something else than our deploys
    headline, *lines = summary(run_end(state))
    logger.info(f"--> {headline[0]}")
    for text, word in lines:
        label, colon, rest = text.partition(":")
        logger.info(f"{_coloured(label, word)}{colon}{rest}")


def _coloured(label: str, word: str) -> str:
    if not word:
        return label
    return format_text(label, "green" if word in GOOD else "yellow" if word in OPEN else "red")
