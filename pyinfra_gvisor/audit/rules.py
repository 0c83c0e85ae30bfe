"""What a rule of the audit is: data, and a function that looks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Generic, TypeVar

from pyinfra_gvisor.audit.observed import Given, Observed
from pyinfra_gvisor.audit.upgrading import upgrading_from
from pyinfra_gvisor.coolify.control_host import ControlHost
from pyinfra_gvisor.coolify.declared_apps import DeclaredApps
from pyinfra_gvisor.daemon_json.plan import Plan
from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.node.containers import Container
from pyinfra_gvisor.policy.findings import Finding, Severity
from pyinfra_gvisor.policy.selectors import exempted, must_be_sandboxed
from pyinfra_gvisor.proof.verdict import fingerprint
from pyinfra_gvisor.settings import Settings
from pyinfra_gvisor.wanted import planned

S = TypeVar("S")


@dataclass(frozen=True)
class Seen:
    """
    What a rule has found. ``subject`` is the container or the file; the rest, where it is given,
    stands for what the rule says.
    """

    subject: str
    evidence: str
    severity: Severity | None = None
    waived: str | None = None


@dataclass(frozen=True)
class Rule(Generic[S]):
    """
    One thing to look for. ``waived`` says why it is accepted everywhere unless the operator says
    so in other words; ``cis`` is docker-bench-security's id of the same check.
    """

    id: str
    severity: Severity
    what: str
    remedy: str
    look: Callable[[S], Iterable[Seen]]
    cis: str | None = None
    waived: str | None = None


@dataclass(frozen=True)
class Audited:
    """
    A node, what is declared for it, and Coolify's apps if it was asked.

    ``control`` is what Coolify's control host was seen to be, None for any other node. ``builds``:
    the inventory has it in the group of the nodes that build images. ``today`` is by UTC.
    """

    observed: Observed
    settings: Settings
    apps: DeclaredApps | None = None
    control: ControlHost | None = None
    builds: bool = False
    today: date = field(default_factory=lambda: datetime.now(UTC).date())

    @property
    def node(self) -> Node:
        """The node's state."""
        return self.observed.node

    @cached_property
    def upgrading_from(self) -> str | None:
        """Return the release in use and proven, while another one is declared; else None."""
        return upgrading_from(self.node, self.settings)

    @cached_property
    def expected(self) -> Settings:
        """
        Return the settings that the node must match.

        Until the deploy is run after ``gvisor_release`` was changed, they have the release that is
        in use and proven: what still has that release is not a finding of its own.
        """
        if self.upgrading_from is None:
            return self.settings
        return self.settings.model_copy(update={"release": self.upgrading_from})

    @cached_property
    def fingerprint(self) -> str | None:
        """What a proof of the node as it is now would be known by."""
        wanted = self.expected
        return fingerprint(
            self.node,
            wanted.release,
            wanted.runtimes,
            image=wanted.proof_image,
            declared=wanted,
        )

    @cached_property
    def plan(self) -> Plan | Problem | None:
        """What a run would do to daemon.json, or why it would refuse; None while nobody knows."""
        if self.node.info is None or self.node.pending:
            return None
        try:
            return planned(
                self.node,
                self.expected,
                lambda: self.observed.users,
                restart="reload" if self.settings.restart == "never" else None,
            )
        except Problem as problem:
            return problem


@dataclass(frozen=True)
class Running:
    """A running container on its node, as the policy sees it."""

    host: Audited
    container: Container
    given: Given

    @property
    def must(self) -> bool:
        """Whether the policy wants it in a sandbox, exemptions apart."""
        policy = self.host.settings.must_sandbox
        return must_be_sandboxed(policy, self.container.name, self.given.labels)

    @property
    def exempt(self) -> str | None:
        """Why it need not be in one, although ``must``."""
        policy = self.host.settings.exempt
        return exempted(policy, self.container.name, self.given.labels) if self.must else None

    @property
    def sandboxed(self) -> bool:
        """Whether it was seen to be in a sandbox."""
        return self.container.sandboxed

    def seen(self, evidence: str, severity: Severity | None = None) -> Seen:
        """What anybody may do in a container that the policy does not speak of is only noted."""
        if not self.must or self.exempt:
            severity = Severity.INFO
        return Seen(self.container.name, evidence, severity)


def look(rules: Iterable[Rule[S]], subject: S, waivers: dict[str, str]) -> list[Finding]:
    """
    What ``rules`` find in ``subject``.

    + waivers: the operator's reasons, by the id of a rule or of docker-bench-security's check
    """
    return [
        Finding(
            id=rule.id,
            severity=seen.severity or rule.severity,
            subject=seen.subject,
            what=rule.what,
            evidence=seen.evidence,
            remedy=rule.remedy,
            cis=rule.cis,
            waived=waivers.get(rule.id)
            or waivers.get(rule.cis or "")
            or seen.waived
            or rule.waived,
        )
        for rule in rules
        for seen in rule.look(subject)
    ]
