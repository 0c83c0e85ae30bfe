"""
The fleet's report as one self-contained HTML page, for screen and paper.

First the verdict, then the containers, then the findings by rule; what was seen is folded up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.report import grouped
from pyinfra_gvisor.report.document import ContainerReport, FleetReport, State
from pyinfra_gvisor.report.outlooks import differing_line

# States and their names, the most urgent first.
STATES: dict[State, str] = {
    "unknown": "Unknown",
    "failed": "Failed",
    "findings": "Findings",
    "clean": "Clean",
}
MANY = 20  # rows of a group that says nothing bad; more of them are folded up
ROOM = 150  # characters for the places of a rule; all of them are folded up
FEW = 8  # blocked destinations to show for each container; the JSON report has more
STALE_S = 3600  # a host's report that is older than this comes from an earlier run


class Group(NamedTuple):
    """Containers, rules or hosts of one kind; folded up unless ``open``."""

    title: str
    rows: Sequence[Any]
    open: bool


def page(report: FleetReport) -> str:
    """Return the page as HTML. Everything from the report is escaped."""
    found = [*grouped.found_in(report), *(("", item) for item in report.findings)]
    counts = Counter(item.severity for _, item in found if item.waived is None)
    states = Counter(host.state for host in report.hosts)
    fail_on = sorted({host.fail_on for host in report.hosts}, key=lambda item: item.rank)
    return (
        _environment()
        .get_template("fleet.html.j2")
        .render(
            report=report,
            containers=_containers(report),
            findings=_findings(found, strict=Severity.INFO in fail_on),
            hosts=_hosts(report),
            states={state: states[state] for state in STATES},
            counts={severity: counts[severity] for severity in reversed(Severity)},
            stale=_stale(report),
            compliant=sum(host.compliant for host in report.hosts),
            proven=sum(bool(host.node and host.node.proof.holds) for host in report.hosts),
            fail_on=fail_on,
        )
    )


def breaks_policy(container: ContainerReport) -> bool:
    """Return True if a container must run in gVisor, and was not seen there."""
    return container.must and container.exempt is None and not container.sandboxed


def why(container: ContainerReport) -> str:
    """Return why a container is where it is: what the policy says of it, and what was seen."""
    policy = ""
    if container.exempt is not None:
        policy = f"exempt: {container.exempt}"
    elif not (container.must or container.sandboxed):
        policy = "not required to run in gVisor"
    return "; ".join(filter(None, (policy, container.why)))


def _containers(report: FleetReport) -> list[Group]:
    """Return the containers with their hosts: first those that break the policy."""
    rows = sorted(
        ((host, item) for host in report.hosts for item in host.containers),
        key=lambda row: (row[0].host, row[1].name),
    )
    bad = [row for row in rows if breaks_policy(row[1])]
    inside = [row for row in rows if row[1].sandboxed]
    others = [row for row in rows if not (row[1].sandboxed or breaks_policy(row[1]))]
    return [
        Group("Not in gVisor, against the policy", bad, open=True),
        Group("Not in gVisor, as the policy allows", others, open=len(others) <= MANY),
        Group("In gVisor", inside, open=len(inside) <= MANY),
    ]


def _findings(found: Sequence[grouped.Found], *, strict: bool) -> list[Group]:
    """
    Return the rules with what they found, the worst first.

    + strict: findings for information fail a host
    """
    rules = grouped.by_rule(pair for pair in found if pair[1].waived is None)
    info = [rule for rule in rules if rule[0][1].severity == Severity.INFO]
    waived = grouped.by_rule(pair for pair in found if pair[1].waived is not None)
    return [
        Group("", [rule for rule in rules if rule not in info], open=True),
        Group("For information", info, open=strict),
        Group("Waived", waived, open=False),
    ]


def _hosts(report: FleetReport) -> list[Group]:
    order = list(STATES)
    hosts = sorted(report.hosts, key=lambda host: (order.index(host.state), host.host))
    clean = [host for host in hosts if host.state == "clean"]
    return [
        Group("", hosts[: len(hosts) - len(clean)], open=True),  # clean hosts come last
        Group("Clean hosts", clean, open=len(clean) <= MANY),
    ]


def _stale(report: FleetReport) -> set[str]:
    """Return the hosts whose report is of an earlier run."""
    made = datetime.fromisoformat(report.at)
    ages = {host.host: made - datetime.fromisoformat(host.at) for host in report.hosts}
    return {host for host, age in ages.items() if age.total_seconds() > STALE_S}


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pyinfra_gvisor.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["moment"] = _moment
    environment.tests["breaking"] = breaks_policy
    environment.globals |= {"words": STATES, "FEW": FEW, "ROOM": ROOM}
    environment.globals |= {"why": why, "grouped": grouped, "differing_line": differing_line}
    return environment


def _moment(at: str) -> str:
    return datetime.fromisoformat(at).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
