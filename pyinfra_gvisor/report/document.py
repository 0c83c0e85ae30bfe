"""The report as data, one document a host, one for the fleet: other forms are made from these."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field, computed_field, model_validator

from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.models import Strict
from pyinfra_gvisor.policy.findings import Finding, Severity, failing, worst_first

VERSION: Final = 1  # of the documents' form; another one where a reader of this one would err

State = Literal["unknown", "failed", "findings", "clean"]


def _moment(text: str) -> str:
    try:
        zone = datetime.fromisoformat(text).tzinfo
    except ValueError:
        raise Problem("not a time of ISO 8601", got=text) from None
    if zone is None:
        raise Problem("a time without its UTC offset", got=text, todo="add +00:00")
    return text


def _sorted(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    return tuple(worst_first(findings))


Moment = Annotated[str, AfterValidator(_moment)]
Findings = Annotated[tuple[Finding, ...], AfterValidator(_sorted)]


class _Part(Strict):
    """A part of a report."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class RuntimeReport(_Part):
    """A runtime as the live daemon has it."""

    name: str
    path: str = Field(description="What dockerd starts.")
    release: str | None = Field(description="The runsc release, if it is a wrapper of ours.")


class ContainerReport(_Part):
    """A running container: what it asked for, and what it really is."""

    name: str
    id: str
    image: str
    asked: str = Field(description="The runtime that Docker was asked for.")
    sandboxed: bool = Field(description="Whether it was seen to be in a sandbox of gVisor's.")
    verdict: Literal["sandboxed", "bare", "unknown"] = Field(
        description="What it is: in a sandbox, on the node's kernel, or nobody can tell."
    )
    why: str = Field(description="What speaks against a sandbox of ours; empty if nothing does.")
    release: str | None = Field(description="The release its sandbox runs from, if one of ours.")
    must: bool = Field(description="Whether the policy says that it has to be sandboxed.")
    exempt: str | None = Field(description="Why it need not be, if it is exempted.")

    @model_validator(mode="before")
    @classmethod
    def _older(cls, value: Any) -> Any:
        """A report that lies there from before there was a verdict goes on to be read."""
        if not isinstance(value, dict) or "verdict" in value:
            return value
        return {"verdict": "sandboxed" if value.get("sandboxed") else "bare", "why": "", **value}


class ProofReport(_Part):
    """The last proof of isolation on the node."""

    release: str | None
    at: Moment | None = Field(description="When, ISO 8601 with UTC offset; None if there was none.")
    checks: int = Field(description="How many checks were made.")
    failed: tuple[str, ...] = Field(description="The checks that proved nothing.")
    holds: bool = Field(description="Whether the node is as it was then proven.")
    not_made: str | None = Field(
        None, description="When a proof could not be made since, and why; None if it could."
    )


class NodeReport(_Part):
    """What the node is."""

    distribution: str
    kernel: str
    arch: str
    docker: str | None
    release: str = Field(description="The runsc release that is declared for it.")
    in_use: str | None = Field(
        None,
        description="The runsc release that is in use and proven, while another one is declared.",
    )
    releases: tuple[str, ...] = Field(description="Those that are on it, as they were installed.")
    runtimes: tuple[RuntimeReport, ...]
    proof: ProofReport


class StoppedReport(_Part):
    """Who tried within the last hour what the firewall stops."""

    who: str = Field(description="A container's name, or an address that none has which runs.")
    running: bool = Field(description="Whether it is a container that runs.")
    tried: tuple[str, ...] = Field(description="Destinations such as `10.0.0.5:5432/tcp`.")
    more: int = Field(description="How many destinations more.")


class EgressReport(_Part):
    """The node's firewall: what containers may reach."""

    declared: bool = Field(description="Whether one is declared for the node.")
    in_force: bool = Field(
        description="Whether its rules are loaded as they lie there, and will be at the next boot."
    )
    counters: dict[str, int] = Field(
        description="Since they were loaded: `drop_…` packets that were stopped, `accept_…` new "
        "connections that were let through."
    )
    stopped: tuple[StoppedReport, ...]

    def counted(self, verdict: Literal["accept", "drop"]) -> dict[str, int]:
        """The counters of a verdict, by what is behind it in their names."""
        prefix = f"{verdict}_"
        return {
            name.removeprefix(prefix): count
            for name, count in self.counters.items()
            if name.startswith(prefix)
        }


class HostReport(_Part):
    """
    One host. ``error`` says why nothing is known of it; it is then not compliant.
    """

    version: Literal[1] = VERSION
    host: str
    at: Moment = Field(description="When it was looked at, ISO 8601 with UTC offset.")
    by: Literal["audit", "deploy"] = Field(description="Which run wrote it.")
    fail_on: Severity = Field(description="The mildest severity that makes a host fail.")
    error: str | None = None
    node: NodeReport | None = None
    egress: EgressReport | None = Field(None, description="None where there is no firewall.")
    containers: tuple[ContainerReport, ...] = ()
    findings: Findings = Field((), description="The worst first, waived ones last.")
    risks: tuple[str, ...] = Field((), description="Risks that were accepted, with the reasons.")

    @computed_field  # type: ignore[prop-decorator]  # mypy takes no decorator on a property
    @property
    def compliant(self) -> bool:
        """Whether it was looked at and nothing at or above ``fail_on`` was found."""
        return self.error is None and not failing(self.findings, self.fail_on)

    @computed_field  # type: ignore[prop-decorator]  # as above
    @property
    def state(self) -> State:
        """``findings``: some, none that makes it fail; what is waived or only noted is none."""
        if self.error is not None:
            return "unknown"
        if not self.compliant:
            return "failed"
        return "findings" if failing(self.findings, Severity.LOW) else "clean"

    def to_json(self) -> dict[str, Any]:
        """The document, with what is worked out from it."""
        return self.model_dump(mode="json")


class FleetReport(_Part):
    """All hosts of a run."""

    version: Literal[1] = VERSION
    at: Moment = Field(description="When it was written, ISO 8601 with UTC offset.")
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
        """The document, with what is worked out from it."""
        return self.model_dump(mode="json")


def not_looked_at(
    host: str, *, at: str, by: Literal["audit", "deploy"], fail_on: Severity, error: str
) -> HostReport:
    """The report of a host of which nothing is known."""
    return HostReport(host=host, at=at, by=by, fail_on=fail_on, error=error)


def fleet_report(
    hosts: Sequence[HostReport],
    *,
    at: str,
    by: Literal["audit", "deploy"],
    findings: Sequence[Finding] = (),
) -> FleetReport:
    """The hosts' reports together, by name."""
    by_name = tuple(sorted(hosts, key=lambda item: item.host))
    return FleetReport(at=at, by=by, hosts=by_name, findings=tuple(findings))
