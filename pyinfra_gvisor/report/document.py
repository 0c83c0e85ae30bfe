"""Reports as data: one document for each host and one for the fleet. Other forms use these."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field, computed_field, model_validator

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.models import Strict
from pyinfra_gvisor.policy.findings import Finding, Severity, failing, worst_first
from pyinfra_gvisor.report.outlooks import AppOutlooks

VERSION: Final = 1  # of the documents' form; raised when a reader of the old form would fail

State = Literal["unknown", "failed", "findings", "clean"]


def _moment(text: str) -> str:
    try:
        zone = datetime.fromisoformat(text).tzinfo
    except ValueError:
        raise Problem("not an ISO 8601 time", got=text) from None
    if zone is None:
        raise Problem("a time without UTC offset", got=text, todo="add +00:00")
    return text


def _sorted(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    return tuple(worst_first(findings))


Moment = Annotated[str, AfterValidator(_moment)]
Findings = Annotated[tuple[Finding, ...], AfterValidator(_sorted)]


class _Part(Strict):
    """Part of a report."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class RuntimeReport(_Part):
    """A runtime that is registered in the running dockerd."""

    name: str
    path: str = Field(description="The program that dockerd starts.")
    release: str | None = Field(description="Its runsc release, if the program is our wrapper.")


class ContainerReport(_Part):
    """A running container: its runtime, and what it really runs on."""

    name: str
    id: str
    image: str
    asked: str = Field(description="The runtime that it was created with.")
    sandboxed: bool = Field(description="Whether it was seen in gVisor.")
    verdict: Literal["sandboxed", "bare", "unknown"] = Field(
        description="`sandboxed`: runs in gVisor. `bare`: runs directly on the host kernel. "
        "`unknown`: cannot be verified."
    )
    why: str = Field(
        description="Why it is not seen in a sandbox that we installed; empty if it is."
    )
    release: str | None = Field(
        description="The runsc release of its sandbox; null if we did not install it."
    )
    must: bool = Field(description="Whether it must run in gVisor by the policy.")
    exempt: str | None = Field(description="Why it is exempt; null if it is not.")

    @model_validator(mode="before")
    @classmethod
    def _older(cls, value: Any) -> Any:
        """Accept reports that were written before ``verdict`` existed."""
        if not isinstance(value, dict) or "verdict" in value:
            return value
        return {"verdict": "sandboxed" if value.get("sandboxed") else "bare", "why": "", **value}


class ProofReport(_Part):
    """The last proof of isolation on a node."""

    release: str | None
    at: Moment | None = Field(description="Time, ISO 8601 with UTC offset; null if never.")
    held_at: Moment | None = Field(
        None,
        description="Time of the last proof in which no check failed; null if none is known.",
    )
    checks: int = Field(description="Number of checks.")
    failed: tuple[str, ...] = Field(description="Checks that failed.")
    holds: bool = Field(description="Whether no check failed and the node is unchanged since.")
    not_made: str | None = Field(
        None,
        description="When and why a later proof could not be made; null if none was tried.",
    )


class NodeReport(_Part):
    """A node: its system, Docker, runsc releases and proof."""

    distribution: str
    kernel: str
    arch: str
    docker: str | None
    release: str = Field(description="The declared runsc release.")
    in_use: str | None = Field(
        None,
        description="The runsc release that is in use and proven, while another one is declared.",
    )
    releases: tuple[str, ...] = Field(description="Installed releases that were not changed.")
    runtimes: tuple[RuntimeReport, ...]
    default_runtime: str | None = Field(
        None,
        description="The runtime of containers that ask for none; null if Docker does not answer, "
        "and in reports of earlier versions.",
    )
    changed: str | None = Field(
        None,
        description="When, by whom and what pyinfra-gvisor changed last; null if the node does not "
        "remember it.",
    )
    proof: ProofReport


class StoppedReport(_Part):
    """A container whose traffic the firewall blocked within the last hour, or would block."""

    who: str = Field(description="The container's name; its address if it does not run now.")
    running: bool = Field(description="Whether a running container has this name.")
    tried: tuple[str, ...] = Field(description="Blocked destinations, such as `10.0.0.5:5432/tcp`.")
    more: int = Field(description="Number of blocked destinations that `tried` omits.")


class EgressReport(_Part):
    """The node's firewall: what containers can reach."""

    declared: bool = Field(description="Whether a firewall is declared for the node.")
    in_force: bool = Field(
        description="Whether its rules are loaded unchanged, and will be after a reboot."
    )
    only_reports: bool = Field(
        False,
        description="Whether its rules block nothing. Then `stopped` is what they would have "
        "blocked within seven days.",
    )
    counters: dict[str, int] = Field(
        description="Counts since the rules were loaded: blocked packets (`drop_…`), those that "
        "would be (`would_drop_…`), allowed new connections (`accept_…`)."
    )
    stopped: tuple[StoppedReport, ...]

    @property
    def blocks(self) -> bool:
        """Return True if the declared rules are active and block."""
        return self.declared and self.in_force and not self.only_reports

    def counted(self, verdict: Literal["accept", "drop", "would_drop"]) -> dict[str, int]:
        """Return the counters of ``verdict``, by their names without it."""
        prefix = f"{verdict}_"
        return {
            name.removeprefix(prefix): count
            for name, count in self.counters.items()
            if name.startswith(prefix)
        }


class HostReport(_Part):
    """One host. ``error`` says why it could not be checked; it is then not compliant."""

    version: Literal[1] = VERSION
    host: str
    at: Moment = Field(description="Time of the check, ISO 8601 with UTC offset.")
    by: Literal["audit", "deploy"] = Field(description="The kind of run that wrote the report.")
    fail_on: Severity = Field(description="The host fails on findings of this severity or worse.")
    error: str | None = None
    node: NodeReport | None = None
    egress: EgressReport | None = Field(None, description="null if the node has no firewall.")
    containers: tuple[ContainerReport, ...] = ()
    apps: AppOutlooks | None = Field(
        None,
        description="What fails or differs for its containers in gVisor; fails no host. null if "
        "nobody looked, or no runtime is declared.",
    )
    apps_error: str | None = Field(None, description="Why a look at the apps was not finished.")
    findings: Findings = Field((), description="Worst first, waived ones last.")
    risks: tuple[str, ...] = Field((), description="Accepted risks, with their reasons.")

    @computed_field  # type: ignore[prop-decorator]  # mypy takes no decorator on a property
    @property
    def compliant(self) -> bool:
        """Whether the host was checked and nothing at or above ``fail_on`` was found."""
        return self.error is None and not failing(self.findings, self.fail_on)

    @computed_field  # type: ignore[prop-decorator]  # as above
    @property
    def state(self) -> State:
        """
        The worst thing that is known of the host.

        ``findings`` means findings of severity low or worse, but none at or above ``fail_on``.
        Waived findings do not count.
        """
        if self.error is not None:
            return "unknown"
        if not self.compliant:
            return "failed"
        return "findings" if failing(self.findings, Severity.LOW) else "clean"

    def to_json(self) -> dict[str, Any]:
        """Return the document with its computed fields."""
        return self.model_dump(mode="json")


class FleetReport(_Part):
    """All hosts of a run."""

    version: Literal[1] = VERSION
    at: Moment = Field(description="Time of writing, ISO 8601 with UTC offset.")
    by: Literal["audit", "deploy"]
    hosts: tuple[HostReport, ...]
    findings: Findings = Field(
        (), description="About pyinfra-gvisor itself, not about a host. They fail no host."
    )

    @computed_field  # type: ignore[prop-decorator]  # mypy takes no decorator on a property
    @property
    def compliant(self) -> bool:
        """Whether there are hosts, and all of them are compliant."""
        return bool(self.hosts) and all(host.compliant for host in self.hosts)

    def to_json(self) -> dict[str, Any]:
        """Return the document with its computed fields."""
        return self.model_dump(mode="json")


def not_looked_at(
    host: str, *, at: str, by: Literal["audit", "deploy"], fail_on: Severity, error: str
) -> HostReport:
    """Return the report of a host that could not be checked."""
    return HostReport(host=host, at=at, by=by, fail_on=fail_on, error=error)


def fleet_report(
    hosts: Sequence[HostReport],
    *,
    at: str,
    by: Literal["audit", "deploy"],
    findings: Sequence[Finding] = (),
) -> FleetReport:
    """Return one report of all hosts, sorted by name."""
    by_name = tuple(sorted(hosts, key=lambda item: item.host))
    return FleetReport(at=at, by=by, hosts=by_name, findings=tuple(findings))
