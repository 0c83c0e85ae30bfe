"""A report as lines for a terminal, broken between words."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from pyinfra_gvisor.base.columns import WITHOUT_TERMINAL, shortened
from pyinfra_gvisor.policy.findings import Finding, Severity, by_severity
from pyinfra_gvisor.report.document import FleetReport, HostReport

_STATES = {
    "unknown": "UNKNOWN, not compliant",
    "failed": "FAILED, not compliant",
    "findings": "compliant, with findings",
    "clean": "compliant",
}


def host_lines(report: HostReport, columns: int = WITHOUT_TERMINAL) -> list[str]:
    """
    Return the findings on a host, the worst first, its last change, and a line with the counts.

    + columns: how wide a line may be
    """
    lines = finding_lines(report.findings, columns)
    if report.error is not None:
        lines += _wrapped(f"UNKNOWN {report.host}: {report.error}", columns)
    if report.node and report.node.changed:
        lines += _wrapped(f"last change {report.node.changed}", columns)
    return lines + _verdict(report, columns)


def fleet_lines(report: FleetReport, columns: int = WITHOUT_TERMINAL) -> list[str]:
    """
    Return findings about the package, a line a host, failed hosts first, and the counts.

    + columns: how wide a line may be
    """
    about = finding_lines(report.findings, columns)
    if not report.hosts:
        return [*about, "NOT COMPLIANT: no host was checked"]
    hosts = sorted(report.hosts, key=lambda host: (list(_STATES).index(host.state), host.host))
    lines = [line for host in hosts for line in _verdict(host, columns)]
    compliant = sum(host.compliant for host in hosts)
    verdict = "compliant" if report.compliant else "NOT COMPLIANT"
    return [*about, *lines, f"{verdict}: {compliant} of {len(hosts)} hosts are compliant"]


def finding_lines(findings: Iterable[Finding], columns: int = WITHOUT_TERMINAL) -> list[str]:
    """
    Return the lines of each finding: what is wrong, what was seen, what to do.

    + columns: how wide a line may be
    """
    return [line for item in findings for line in _finding(item, columns)]


def _finding(item: Finding, columns: int) -> Iterator[str]:
    if item.waived is not None:
        waived = _plain(f"waived {item.id} {item.subject}: {item.waived}")
        yield textwrap.shorten(waived, columns, placeholder=" …", break_on_hyphens=False)
        return
    yield from _wrapped(f"{item.severity.upper()} {item.id} {item.subject}: {item.what}", columns)
    for label, text in (("seen", item.evidence), ("do", item.remedy)):
        if text:
            yield from _wrapped(f"{label}: {text}", columns, indent="    ")


def _verdict(report: HostReport, columns: int) -> list[str]:
    return _wrapped(f"{report.host}: {_STATES[report.state]}{_counted(report)}", columns)


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
    """Return what needs attention: the firewall is not active, or blocks or would block."""
    egress = report.egress
    if egress is None:
        return ""
    if not egress.in_force:
        return "; FIREWALL NOT ACTIVE"
    blocked = len(egress.stopped)
    if egress.only_reports:
        return f"; firewall only reports{f', would block {blocked}' if blocked else ''}"
    return f"; firewall blocked {blocked} container{'' if blocked == 1 else 's'}" * bool(blocked)


def _wrapped(text: str, columns: int, *, indent: str = "") -> list[str]:
    room = columns - len(indent) - 2
    return textwrap.wrap(
        " ".join(shortened(word, room) for word in _plain(text).split()),
        columns,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_on_hyphens=False,
    )


def _plain(text: str) -> str:
    """Return ``text`` as one printable line: a node must not control the terminal."""
    return "".join(char if char.isprintable() else "?" for char in " ".join(text.split()))
