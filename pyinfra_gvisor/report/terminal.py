"""A report as lines for a terminal, none wider than 100 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from pyinfra_gvisor.policy.findings import Finding, Severity, by_severity
from pyinfra_gvisor.report.document import FleetReport, HostReport

WIDTH = 100  # columns

_STATES = {
    "unknown": "UNKNOWN, not compliant",
    "failed": "FAILED, not compliant",
    "findings": "compliant, with findings",
    "clean": "compliant",
}


def host_lines(report: HostReport) -> list[str]:
    """What was found on a host, the worst first, and a last line with the counts."""
    lines = finding_lines(report.findings)
    if report.error is not None:
        lines += _wrapped(f"UNKNOWN {report.host}: {report.error}")
    return lines + _verdict(report)


def fleet_lines(report: FleetReport) -> list[str]:
    """Return findings about the package, a line a host, failed hosts first, and the counts."""
    about = finding_lines(report.findings)
    if not report.hosts:
        return [*about, "NOT COMPLIANT: no host was looked at"]
    hosts = sorted(report.hosts, key=lambda host: (list(_STATES).index(host.state), host.host))
    lines = [line for host in hosts for line in _verdict(host)]
    compliant = sum(host.compliant for host in hosts)
    verdict = "compliant" if report.compliant else "NOT COMPLIANT"
    return [*about, *lines, f"{verdict}: {compliant} of {len(hosts)} hosts are compliant"]


def finding_lines(findings: Iterable[Finding]) -> list[str]:
    """Return the lines of each finding: what is wrong, what was seen, what to do."""
    return [line for item in findings for line in _finding(item)]


def _finding(item: Finding) -> Iterator[str]:
    if item.waived is not None:
        waived = _plain(f"waived {item.id} {item.subject}: {item.waived}")
        yield waived if len(waived) <= WIDTH else waived[: WIDTH - 1] + "…"
        return
    yield from _wrapped(f"{item.severity.upper()} {item.id} {item.subject}: {item.what}")
    for label, text in (("seen", item.evidence), ("do", item.remedy)):
        if text:
            yield from _wrapped(f"{label}: {text}", indent="    ")


def _verdict(report: HostReport) -> list[str]:
    return _wrapped(f"{report.host}: {_STATES[report.state]}{_counted(report)}")


def _counted(report: HostReport) -> str:
    if report.error is not None:
        return ""
    counts = {
        **{str(severity): count for severity, count in by_severity(report.findings).items()},
        "waived": sum(item.waived is not None for item in report.findings),
    }
    order = [*reversed(Severity), "waived"]
    found = ", ".join(f"{counts[name]} {name}" for name in order if counts[name])
    sandboxed = sum(item.sandboxed for item in report.containers)
    containers = f"{sandboxed} of {len(report.containers)} containers sandboxed"
    return f"; {found or 'nothing found'}; {containers}{_firewall(report)}"


def _firewall(report: HostReport) -> str:
    """Only what somebody has to know: it is not in force, or stopped somebody within the hour."""
    egress = report.egress
    if egress is None or (egress.in_force and not egress.stopped):
        return ""
    if not egress.in_force:
        return "; FIREWALL NOT IN FORCE"
    return f"; the firewall stopped {len(egress.stopped)}"


def _wrapped(text: str, *, indent: str = "") -> list[str]:
    return textwrap.wrap(
        _plain(text),
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_on_hyphens=False,
    )


def _plain(text: str) -> str:
    """What comes from a node must not steer the terminal, nor look like a line of ours."""
    return "".join(char if char.isprintable() else "?" for char in " ".join(text.split()))
