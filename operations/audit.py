"""What a node and its containers really are, held against what is declared. Changes nothing."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from pyinfra import host, logger, state
from pyinfra.api import FunctionCommand, Host, QuoteString, State, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from pyinfra_gvisor.audit.judge import judge
from pyinfra_gvisor.audit.rules import Audited
from pyinfra_gvisor.coolify.control_host import ControlHost
from pyinfra_gvisor.coolify.declared_apps import APP_LABELS
from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.facts.audit import AuditState
from pyinfra_gvisor.facts.coolify import CoolifyState
from pyinfra_gvisor.facts.node import read_once
from pyinfra_gvisor.groups import BUILD, COOLIFY
from pyinfra_gvisor.operations.by_hand import connector_arguments
from pyinfra_gvisor.operations.declared import declared_apps
from pyinfra_gvisor.operations.recording import keep_record
from pyinfra_gvisor.operations.reporting import By, keep, now, tell_package_findings
from pyinfra_gvisor.operations.telling import refusal, tell
from pyinfra_gvisor.policy.findings import failing
from pyinfra_gvisor.policy.selectors import label_names
from pyinfra_gvisor.report.document import HostReport
from pyinfra_gvisor.report.terminal import host_lines
from pyinfra_gvisor.report.textfile import textfile
from pyinfra_gvisor.scripts import encoded, script
from pyinfra_gvisor.settings import Settings


@operation()
def findings(
    settings: Settings, *, by: By = "audit", enforce: bool = True
) -> Generator[PyinfraCommand, None, None]:
    """
    Say what is found on the node, write the reports, and fail the host on what is not accepted.

    + settings: what is declared for the host, with the policy
    + by: which run looks; it is written into the reports
    + enforce: whether findings at or above ``gvisor_audit_fail_on`` fail the host

    Of the node nothing is changed but the textfile for Prometheus, if there is a directory for it.
    """
    labels = label_names((*settings.must_sandbox, *settings.exempt))
    apps = declared_apps(host, settings)
    observed = host.get_fact(AuditState, labels=(*labels, *(APP_LABELS if apps else ())))
    if observed is None:
        yield from refusal("audit.findings", "node", None, unreadable=True)
        return
    control = _control_host() if settings.coolify else None
    node = Audited(observed, settings, apps, control, builds=BUILD in host.groups)
    try:
        report = judge(host.name, node, at=now(), by=by)
    except ValueError as error:  # out of an operation it would end the run of every host
        problem = Problem("cannot be judged", got=error, todo="report this with what it says")
        yield from refusal("audit.findings", "node", problem)
        return
    tell_package_findings(state)
    bad = failing(report.findings, settings.audit_fail_on)
    level = logger.error if bad and enforce else logger.info
    for line in host_lines(report):
        tell(line, logger.info if line.startswith("waived ") else level)
    writes = settings.report_dir or settings.textfile_dir
    if not state.is_executing or not (writes or (bad and enforce)):  # looking is no change to come
        host.noop("nothing is to be done on the node")
        return
    yield FunctionCommand(_write, (node, report, connector_arguments()), {})
    if bad and enforce:
        yield FunctionCommand(_fail, (), {})


def _control_host() -> ControlHost | None:
    """What a host of the group ``coolify`` is; one that does not tell is not as it should be."""
    if COOLIFY not in host.groups:
        return None
    return read_once(host, CoolifyState) or ControlHost(
        docker=True, docker_error="the host does not tell"
    )


def _write(
    state: State,
    host: Host,
    node: Audited,
    report: HostReport,
    arguments: dict[str, Any],
) -> bool:
    textfile_dir = node.settings.textfile_dir
    on_node = not textfile_dir or _write_textfile(host, report, textfile_dir, arguments)
    recorded = keep_record(host, node, report)
    return keep(host, report) and recorded and on_node


def _fail(state: State, host: Host) -> bool:
    """The failure itself; what was found is told before."""
    return False


def _write_textfile(
    host: Host, report: HostReport, directory: str, arguments: dict[str, Any]
) -> bool:
    text = script("write_textfile", textfile_dir=directory, content_b64=encoded(textfile(report)))
    ok, output = host.run_shell_command(StringCommand("sh", "-c", QuoteString(text)), **arguments)
    for line in () if ok else output.stderr_lines[-3:]:
        host.log(f"audit.findings: {directory} on {host.name}: {line}", logger.error)
    return bool(ok)
