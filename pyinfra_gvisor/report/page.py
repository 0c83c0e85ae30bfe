"""The fleet's report as one self-contained HTML page, for screen and paper."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from pyinfra_gvisor.policy.findings import Finding, Severity, by_severity
from pyinfra_gvisor.report.document import ContainerReport, FleetReport, HostReport, State

# States and their names, the most urgent first.
STATES: dict[State, str] = {
    "unknown": "Unknown",
    "failed": "Failed",
    "findings": "Findings",
    "clean": "Clean",
}
MANY = 20  # clean hosts to show; more of them are collapsed
FEW = 8  # blocked destinations to show for each container; the JSON report has more
STALE_S = 3600  # a host's report that is older than this comes from an earlier run


@dataclass(frozen=True)
class Section:
    """A host's report with the values that the page shows."""

    report: HostReport
    anchor: str
    stale: bool

    @property
    def counts(self) -> dict[Severity, int]:
        """Return the number of findings by severity, worst first, without waived ones."""
        found = by_severity(self.report.findings)
        return {severity: found[severity] for severity in reversed(Severity)}

    @property
    def findings(self) -> list[Finding]:
        """Return the findings that are not waived, the worst first."""
        return [item for item in self.report.findings if item.waived is None]

    @property
    def waived(self) -> list[Finding]:
        """Return the waived findings."""
        return [item for item in self.report.findings if item.waived is not None]

    @property
    def containers(self) -> list[ContainerReport]:
        """Return the containers: first those that break the policy, then those not in gVisor."""
        return sorted(
            self.report.containers,
            key=lambda item: (not breaks_policy(item), item.sandboxed, item.name),
        )

    @property
    def sandboxed(self) -> int:
        """Return the number of containers in gVisor."""
        return sum(item.sandboxed for item in self.report.containers)

    @property
    def breaking(self) -> int:
        """Return the number of containers that break the policy."""
        return sum(breaks_policy(item) for item in self.report.containers)


def page(report: FleetReport) -> str:
    """Return the page as HTML. Everything from the report is escaped."""
    sections = _sections(report)
    states = Counter(section.report.state for section in sections)
    folded = states["clean"] if states["clean"] > MANY else 0  # clean hosts come last
    found = Counter(item.severity for section in sections for item in section.findings)
    return (
        _environment()
        .get_template("fleet.html.j2")
        .render(
            report=report,
            sections=sections,
            shown=sections[: len(sections) - folded],
            folded=sections[len(sections) - folded :],
            states={state: states[state] for state in STATES},
            counts={severity: found[severity] for severity in reversed(Severity)},
            stale=sum(section.stale for section in sections),
            waived=sum(len(section.waived) for section in sections),
            compliant=sum(section.report.compliant for section in sections),
            fail_on=sorted(
                {section.report.fail_on for section in sections}, key=lambda item: item.rank
            ),
        )
    )


def breaks_policy(container: ContainerReport) -> bool:
    """Return True if a container must run in gVisor, and was not seen there."""
    return container.must and container.exempt is None and not container.sandboxed


def kernel_of(container: ContainerReport) -> str:
    """Return what a container that was not seen in gVisor runs on."""
    if container.verdict == "unknown":
        return f"cannot be verified: {container.why}"
    return "host kernel"


def _sections(report: FleetReport) -> list[Section]:
    order = list(STATES)
    hosts = sorted(report.hosts, key=lambda host: (order.index(host.state), host.host))
    made = datetime.fromisoformat(report.at)
    return [
        Section(
            host,
            anchor=f"host-{number}",
            stale=(made - datetime.fromisoformat(host.at)).total_seconds() > STALE_S,
        )
        for number, host in enumerate(hosts, 1)
    ]


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
    environment.globals |= {"words": STATES, "FEW": FEW, "kernel_of": kernel_of}
    return environment


def _moment(at: str) -> str:
    return datetime.fromisoformat(at).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
