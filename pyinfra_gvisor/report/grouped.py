"""What a report has in short, for people: findings by rule, and counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from pyinfra_gvisor.base.columns import printable, some
from pyinfra_gvisor.policy.findings import Finding, Severity, by_severity, rank
from pyinfra_gvisor.report.document import ContainerReport, FleetReport, HostReport
from pyinfra_gvisor.report.summary import Counted, in_gvisor

MOST_REMEDIES: Final = 2
"""Remedies of one rule that are shown, the most frequent ones."""

_LONGEST = 40  # characters of a subject

Found = tuple[str, Finding]  # with the host's name, empty if only one host is shown


def found_in(report: FleetReport) -> list[Found]:
    """Return the findings on all hosts."""
    one = len(report.hosts) == 1
    return [("" if one else host.host, item) for host in report.hosts for item in host.findings]


def by_rule(found: Iterable[Found]) -> list[list[Found]]:
    """Return findings by severity and rule, the worst first."""
    rules: dict[tuple[Severity, str], list[Found]] = {}
    for host, item in sorted(found, key=lambda pair: rank(pair[1])):
        rules.setdefault((item.severity, item.id), []).append((host, item))
    return list(rules.values())


def by_text(
    rule: Iterable[Found], kind: Literal["remedy", "waived"] = "remedy"
) -> list[tuple[str, list[Found]]]:
    """Return findings by what to do, or by why they are accepted; the most frequent first."""
    texts: dict[str, list[Found]] = {}
    for host, item in rule:
        texts.setdefault(getattr(item, kind), []).append((host, item))
    return sorted(texts.items(), key=lambda pair: -len(pair[1]))


def place(host: str, item: Finding) -> str:
    """Return where a finding is."""
    return f"{host}/{item.subject}" if host else item.subject


def places(rule: Sequence[Found], room: int) -> str:
    """Return as many places as there is room for, and the number of the others."""
    names = [_shown(place(host, item)) for host, item in rule]
    room -= len(" and 999 more")
    most = 1
    while most < len(names) and len(", ".join(names[: most + 1])) <= room:
        most += 1
    return some(names, most)


def _shown(name: str) -> str:
    """Return a place as one word or few, so that it hides no other one."""
    text = printable(name)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def containers_in(report: FleetReport) -> str:
    """Return how many containers were seen in gVisor."""
    counted = [_counted(host.containers) if host.error is None else None for host in report.hosts]
    return f"{in_gvisor(counted)}."


def _counted(containers: Sequence[ContainerReport]) -> Counted:
    return Counted(sum(item.sandboxed for item in containers), len(containers), 0)


def counts(report: HostReport) -> list[str]:
    """Return the numbers of findings and containers of a host, and what its firewall does."""
    if report.error is not None:
        return []
    numbers = {
        **{str(severity): count for severity, count in by_severity(report.findings).items()},
        "waived": waived_in(report.findings),
    }
    order = [*reversed(Severity), "waived"]
    found = ", ".join(f"{numbers[name]} {name}" for name in order if numbers[name])
    sandboxed = sum(item.sandboxed for item in report.containers)
    containers = f"{sandboxed} of {len(report.containers)} containers in gVisor"
    return [found or "nothing found", containers, *_firewall(report)]


def waived_in(findings: Iterable[Finding]) -> int:
    """Return how many findings a setting waives: what a rule itself accepts is in no count."""
    return sum(item.waived is not None and not item.by_default for item in findings)


def _firewall(report: HostReport) -> list[str]:
    """Return what needs attention: the firewall is not active, or blocks or would block."""
    egress = report.egress
    if egress is None:
        return []
    if not egress.in_force:
        return ["FIREWALL NOT ACTIVE"]
    blocked = len(egress.stopped)
    if egress.only_reports:
        return [f"firewall only reports{f', would block {blocked}' if blocked else ''}"]
    return [f"firewall blocked {blocked} container{'' if blocked == 1 else 's'}"] * bool(blocked)
