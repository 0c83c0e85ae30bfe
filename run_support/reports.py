"""The reports of a run: each host's as soon as it is known, the fleet's after the last host."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary, WeakSet

import pyinfra
from pyinfra import logger
from pyinfra.api import Host, State
from pyinfra.api.state import BaseStateCallback

from pyinfra_gvisor.base.columns import INDENT, left_of
from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.facts.deadline import given_up, hurried
from pyinfra_gvisor.policy.findings import Finding, Severity
from pyinfra_gvisor.report.summary import RESULT_DIR
from pyinfra_gvisor.rollout.own import own_shard
from pyinfra_gvisor.run_support.terminal import severity_coloured

if TYPE_CHECKING:  # most runs write no report, and loading its models takes a while
    from pyinfra_gvisor.report.document import HostReport

By = Literal["audit", "deploy"]
UNREACHED = "no connection, so nothing is known of this host"
FAILED = "failed before it was checked; the run's output says why"
ENDED = "the run ended before this host was checked; run again"
# With one of these, pyinfra ends after the plan: pyinfra_cli/cli.py of pyinfra 3.10.
_FUNCTIONS = "pyinfra_gvisor.deploys."
PLAN_ONLY = frozenset({"--dry", "--debug-facts", "--debug-operations"})


@dataclass
class _Run:
    """The reports of one run of pyinfra. ``written``: directories with the fleet's report."""

    by: By
    reports: dict[str, HostReport] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    ended: bool = False
    began_s: float = field(default_factory=time.monotonic)


_RUNS: WeakKeyDictionary[State, _Run] = WeakKeyDictionary()
_TOLD: WeakSet[State] = WeakSet()  # runs that have told the findings about this package


class _Watch(BaseStateCallback):
    """Notices a failed host: it may be the last one that the fleet's report waits for."""

    @staticmethod
    def operation_host_error(state: State, host: Host, *_: object, **__: object) -> None:
        run = _RUNS[state]
        if host.name not in run.reports:  # else its report is written already
            run.failed.add(host.name)
            _finish(state)


def begin(host: Host, by: By) -> None:
    """
    Note that this run makes reports. To be called in the deploy, for every host.

    + by: which deploy runs
    """
    if host.state not in _RUNS:
        _RUNS[host.state] = _Run(by)
        host.state.add_callback_handler(_Watch())


def missed(host: Host) -> None:
    """Note that a host fails before it is checked."""
    if (run := _RUNS.get(host.state)) and not ends_after_plan(host.state):
        run.failed.add(host.name)
        _finish(host.state)


def close_reports(state: State) -> None:
    """
    Write the fleet's report at the end of a run if no host did so: the earlier one would stay.

    A run that only plans writes none, and neither does one that ended at pyinfra's question.
    """
    by = _RUNS[state].by if state in _RUNS else _asked_for()
    over = state.is_executing or hurried(state) or not state.active_hosts
    if by and over and not ends_after_plan(state):
        run = _RUNS.setdefault(state, _Run(by))
        run.ended = True
        _finish(state, but=run.written)


def _asked_for() -> By | None:
    """Return what pyinfra's command line asks for, if no deploy was loaded: no host was reached."""
    kinds: dict[str, By] = {"audit": "audit", "gvisor": "deploy"}
    files = [Path(word).stem for word in sys.argv[2:] if word.endswith(".py")]
    functions = [word.split(".")[-2] for word in sys.argv[2:] if word.startswith(_FUNCTIONS)]
    return next((kinds[name] for name in (*files, *functions) if name in kinds), None)


def keep(host: Host, report: HostReport) -> bool:
    """Write a host's report, and the fleet's after the last host; return False if that fails."""
    directories = _directories(host)
    if not directories:
        return True
    _RUNS[host.state].reports[host.name] = report
    from pyinfra_gvisor.report.files import write_host  # noqa: PLC0415

    for directory in directories:
        try:
            write_host(directory, report)
        except Problem as problem:
            host.log(f"audit.findings: on {host.name}: {problem}", logger.error)
            return False
    return _finish(host.state)


def tell_package_findings(state: State) -> None:
    """Tell what is found of this package itself, once a run: it is the same for every host."""
    if state in _TOLD:
        return
    _TOLD.add(state)
    from pyinfra_gvisor.report.terminal import finding_lines  # noqa: PLC0415

    for line in finding_lines(package_findings(state), left_of(2 * INDENT)):
        logger.info(f"    {severity_coloured(line)}")


def package_findings(state: State) -> list[Finding]:
    """Return what is found of this package itself; a waiver of any host of the run counts."""
    from pyinfra_gvisor.audit.judge import judge_package  # noqa: PLC0415
    from pyinfra_gvisor.audit.rules import today  # noqa: PLC0415

    waivers: dict[str, str] = {}
    for host in state.inventory:
        given: Any = host.data.get("gvisor_waivers")
        if isinstance(given, dict) and state.is_host_in_limit(host):
            waivers |= given
    return judge_package(today(), waivers)


def run_took_s(host: Host) -> float | None:
    """Return the seconds since this run began; None if pyinfra ran without ``-y`` and waited."""
    return None if _asks(host.state) else time.monotonic() - _RUNS[host.state].began_s


def directory_of(host: Host) -> str | None:
    """Return the directory for this host's reports, as its data declare; None for no reports."""
    value: Any = host.data.get("gvisor_report_dir")
    return value if isinstance(value, str) and value else None


def _directories(host: Host) -> list[str]:
    """Return the directories for this host's reports: the declared one, and that of the command."""
    return [item for item in (directory_of(host), os.environ.get(RESULT_DIR)) if item]


def is_result_whole(state: State) -> bool:
    """Return True if the command that began this run has a result that tells of each failure."""
    run = _RUNS.get(state)
    if run is None or os.environ.get(RESULT_DIR) not in run.written:
        return False
    found = (run.reports.get(host.name) for host in state.failed_hosts)
    return not any(report is not None and report.compliant for report in found)


def now() -> str:
    """Return the current time, as reports have it: ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _asks(state: State) -> bool:
    """Return True if pyinfra runs from the command line without ``-y``."""
    return pyinfra.is_cli and state.check_for_changes


def ends_after_plan(state: State) -> bool:
    """Return True if pyinfra executes no operation in this run."""
    # The state has no such flag, and click's context is only visible in the main greenlet.
    words = frozenset(sys.argv if pyinfra.is_cli else ())
    return not words.isdisjoint(PLAN_ONLY) or ("--json" in words and _asks(state))


def _finish(state: State, but: Collection[str] = ()) -> bool:
    """Write the fleet's report to each directory, ``but`` some, whose hosts are accounted for."""
    by_directory: dict[str, list[Host]] = {}
    for host in state.inventory:
        for directory in _directories(host):
            if directory not in but:
                by_directory.setdefault(directory, []).append(host)
    written = [_write(state, directory, hosts) for directory, hosts in by_directory.items()]
    return all(written)


def _write(state: State, directory: str, hosts: Iterable[Host]) -> bool:
    run, reports = _RUNS[state], []
    for host in hosts:
        if report := _report(state, run, host, directory):
            reports.append(report)
        elif state.is_host_in_limit(host):
            return True  # the last host writes it
    from pyinfra_gvisor.report.document import fleet_report  # noqa: PLC0415
    from pyinfra_gvisor.report.files import write_fleet, write_host  # noqa: PLC0415

    unseen = [report for report in reports if report.error]
    reports += _of_other_shards(state, directory)
    findings = package_findings(state)
    fleet = fleet_report(reports, at=now(), by=run.by, findings=findings)
    try:
        for report in unseen:  # a later run with --limit would find an older one
            write_host(directory, report)
        paths = write_fleet(directory, fleet)
    except Problem as problem:
        logger.error(f"audit.findings: {problem}")
        return False
    run.written.add(directory)
    if directory != os.environ.get(RESULT_DIR):
        logger.info(f"    written: {paths[0]}, and beside it {', '.join(_names(paths[1:]))}")
    return True


def _of_other_shards(state: State, directory: str) -> Iterator[HostReport]:
    """Yield the earlier reports of hosts that this process, which does a shard, does not know."""
    from pyinfra_gvisor.report.earlier import earlier  # noqa: PLC0415

    shard = own_shard()
    for name in shard.others if shard else ():
        if found := earlier(directory, name):
            yield found


def _names(paths: Iterable[Path]) -> Iterator[str]:
    return (path.name for path in paths)


def _report(state: State, run: _Run, host: Host, directory: str) -> HostReport | None:
    """Return the report of a host; for a host that is not part of this run, its earlier one."""
    from pyinfra_gvisor.report.document import not_looked_at  # noqa: PLC0415
    from pyinfra_gvisor.report.earlier import earlier  # noqa: PLC0415

    if not state.is_host_in_limit(host):
        return earlier(directory, host.name)
    if host.name in run.reports:
        return run.reports[host.name]
    if host.name in run.failed or host in state.failed_hosts or run.ended:
        error = _why(state, host, run)
        return not_looked_at(host.name, at=now(), by=run.by, fail_on=_fail_on(host), error=error)
    return None


def _why(state: State, host: Host, run: _Run) -> str:
    """Return why a host has no report of its own."""
    if silent := given_up(host):
        return str(silent.what)
    if host not in state.activated_hosts:
        return UNREACHED
    return FAILED if host.name in run.failed or host in state.failed_hosts else ENDED


def _fail_on(host: Host) -> Severity:
    value: Any = host.data.get("gvisor_audit_fail_on")
    return Severity(value) if value in list(Severity) else Severity.HIGH
