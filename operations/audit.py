"""Check a node and its containers against what is declared. Changes nothing on the node."""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from typing import Any

from pyinfra import host, logger, state
from pyinfra.api import FunctionCommand, Host, QuoteString, State, StringCommand
from pyinfra.api.command import PyinfraCommand

from pyinfra_gvisor.audit.judge import judge
from pyinfra_gvisor.audit.observed import Observed
from pyinfra_gvisor.audit.rules import Audited
from pyinfra_gvisor.base.columns import some
from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.groups import BUILD, COOLIFY
from pyinfra_gvisor.base.scripts import encoded, script
from pyinfra_gvisor.coolify.control_host import ControlHost
from pyinfra_gvisor.coolify.declared_apps import APP_LABELS
from pyinfra_gvisor.facts.asking import get
from pyinfra_gvisor.facts.audit import AuditState
from pyinfra_gvisor.facts.coolify import CoolifyState
from pyinfra_gvisor.facts.node import read_once
from pyinfra_gvisor.planning.preflight import rights_problem, textfile_problem
from pyinfra_gvisor.policy.findings import failing
from pyinfra_gvisor.policy.selectors import label_names
from pyinfra_gvisor.report.document import HostReport
from pyinfra_gvisor.report.summary import RESULT_DIR
from pyinfra_gvisor.report.terminal import host_lines, verdict_lines
from pyinfra_gvisor.report.textfile import textfile
from pyinfra_gvisor.run_support.compatibility import keep_record
from pyinfra_gvisor.run_support.connector_arguments import connector_arguments
from pyinfra_gvisor.run_support.declared_apps import declared_apps
from pyinfra_gvisor.run_support.ending import count_containers, is_not_compliant, only_looks
from pyinfra_gvisor.run_support.messages import refusal, tell
from pyinfra_gvisor.run_support.reports import By, keep, now, tell_package_findings
from pyinfra_gvisor.run_support.settled import operation
from pyinfra_gvisor.run_support.terminal import room, severity_coloured
from pyinfra_gvisor.settings import Settings

# lines that make no host fail
_NAMED = 5  # rules in a line
_NOTE = re.compile(r"waived |not shown: |apps in gVisor: |\S+: last change ")


@operation()
def findings(
    settings: Settings, *, by: By = "audit", enforce: bool = True
) -> Generator[PyinfraCommand, None, None]:
    """
    Print the findings on the node, write the reports, and fail the host if a finding is too severe.

    + settings: what is declared for the host, with the policy
    + by: kind of run; the reports name it
    + enforce: whether findings at or above ``gvisor_audit_fail_on`` fail the host

    On the node this writes only the textfile for Prometheus, if ``gvisor_textfile_dir`` is set.
    """
    apps = declared_apps(host, settings)
    observed = _observed(settings, () if apps is None else APP_LABELS)
    problem = rights_problem(observed.node) if observed else None
    if observed is None or problem:
        yield from refusal("audit.findings", "node", problem, unreadable=observed is None)
        return
    control = _control_host() if settings.coolify else None
    node = Audited(observed, settings, apps, control, builds=BUILD in host.groups)
    try:
        report = judge(host.name, node, at=now(), by=by)
    except ValueError as error:  # outside of an operation this would end the run for every host
        problem = Problem("cannot be checked", got=error, todo="report this error with its text")
        yield from refusal("audit.findings", "node", problem)
        return
    strays = enforce and bool(failing(report.findings, settings.audit_fail_on))
    _tell(report, strays=strays)
    if problem := textfile_problem(observed.node, settings):
        if state.is_executing and (settings.report_dir or os.environ.get(RESULT_DIR)):
            yield FunctionCommand(_write, (node, report, None), {})
        yield from refusal("audit.findings", "gvisor_textfile_dir", problem)
        return
    writes = settings.report_dir or settings.textfile_dir or os.environ.get(RESULT_DIR)
    if not state.is_executing or not (writes or strays):  # reading is no pending change
        host.noop("there is nothing to do on the node")
        return
    yield FunctionCommand(_write, (node, report, connector_arguments()), {})
    if strays:
        yield FunctionCommand(_fail, (), {})


def _tell(report: HostReport, *, strays: bool) -> None:
    """Say what was found, as errors if that fails the host."""
    only_looks(host)
    if strays:
        rules = some(sorted({item.id for item in failing(report.findings, report.fail_on)}), _NAMED)
        cause = f"findings of severity {report.fail_on} or worse ({rules}); do what each says"
        is_not_compliant(host, cause)
    if os.environ.get(RESULT_DIR):
        return  # the command that began this run prints all
    tell_package_findings(state)
    level = logger.error if strays else logger.info
    is_note = False
    for line in _lines(report):
        if not line.startswith(" "):
            is_note = _NOTE.match(line) is not None
        tell(severity_coloured(line), logger.info if is_note else level)


def _lines(report: HostReport) -> list[str]:
    """Return the findings; after a deploy their numbers alone."""
    if report.by == "deploy":
        return verdict_lines(report, room(host))
    return host_lines(report, room(host), each=state.print_noop_info)


def _observed(settings: Settings, labels: tuple[str, ...]) -> Observed | None:
    labels = (*label_names((*settings.must_sandbox, *settings.exempt)), *labels)
    more: dict[str, Any] = {"preview": settings.preview} if settings.preview else {}
    if settings.runtimes:
        more["looks"] = True
    found = get(host, AuditState, labels=labels, textfile_dir=settings.textfile_dir, **more)
    if found is not None:
        count_containers(host, found.node)
    return found


def _control_host() -> ControlHost | None:
    """Return the state of a host in the group ``coolify``, with an error if it does not answer."""
    if COOLIFY not in host.groups:
        return None
    return read_once(host, CoolifyState) or ControlHost(
        docker=True, docker_error="the host does not answer"
    )


def _write(
    state: State,
    host: Host,
    node: Audited,
    report: HostReport,
    arguments: dict[str, Any] | None,
) -> bool:
    """Write the reports; the textfile on the node too, unless ``arguments`` is None."""
    textfile_dir = node.settings.textfile_dir
    on_node = (
        textfile_dir is None
        or arguments is None
        or _write_textfile(host, report, textfile_dir, arguments)
    )
    recorded = keep_record(host, node, report)
    return keep(host, report) and recorded and on_node


def _fail(state: State, host: Host) -> bool:
    """Fail the host; the findings are printed before."""
    return False


def _write_textfile(
    host: Host, report: HostReport, directory: str, arguments: dict[str, Any]
) -> bool:
    text = script(
        "base/write_textfile", textfile_dir=directory, content_b64=encoded(textfile(report))
    )
    ok, output = host.run_shell_command(StringCommand("sh", "-c", QuoteString(text)), **arguments)
    for line in () if ok else output.stderr_lines[-3:]:
        host.log(f"audit.findings: {directory} on {host.name}: {line}", logger.error)
    return bool(ok)
