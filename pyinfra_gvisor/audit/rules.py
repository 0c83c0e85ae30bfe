"""Rules of the audit: data, and a function that looks for what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Generic, TypeVar

from pyinfra_gvisor.audit.observed import Given, Observed
from pyinfra_gvisor.audit.upgrading import upgrading_from
from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.coolify.control_host import ControlHost
from pyinfra_gvisor.coolify.declared_apps import DeclaredApps
from pyinfra_gvisor.daemon_json.plan import Plan
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.node.containers import Container
from pyinfra_gvisor.node.next_start import Place
from pyinfra_gvisor.planning.wanted import plan_for_settings
from pyinfra_gvisor.policy.findings import Finding, Severity
from pyinfra_gvisor.policy.selectors import exempted, must_be_sandboxed
from pyinfra_gvisor.proof.verdict import fingerprint
from pyinfra_gvisor.runtimes.profiles import DEFAULT_RUNTIME, Runtime
from pyinfra_gvisor.sandbox.verdict import asks_for_runc
from pyinfra_gvisor.settings import Settings

S = TypeVar("S")


def today() -> date:
    """Return the day, in UTC."""
    return datetime.now(UTC).date()


@dataclass(frozen=True)
class Observation:
    """
    One thing that a rule found. ``subject`` is the container, file or other thing.

    ``severity``, ``waived`` and ``remedy``, if given, replace those of the rule.
    """

    subject: str
    evidence: str
    severity: Severity | None = None
    waived: str | None = None
    remedy: str | None = None


@dataclass(frozen=True)
class Rule(Generic[S]):
    """
    One thing to look for.

    + what: what is wrong, as a sentence about the subject
    + remedy: what to do, as an imperative
    + look: yields what is found
    + cis: docker-bench-security's id of the same check
    + waived: why the finding is accepted everywhere; an operator's own reason replaces it
    """

    id: str
    severity: Severity
    what: str
    remedy: str
    look: Callable[[S], Iterable[Observation]]
    cis: str | None = None
    waived: str | None = None


@dataclass(frozen=True)
class Audited:
    """
    What the rules check: a node, what is declared for it, and Coolify's apps.

    + apps: apps of Coolify; None if Coolify was not asked
    + control: state of Coolify's control host; None for any other node
    + builds: whether the inventory has the node in the group of nodes that build images
    """

    observed: Observed
    settings: Settings
    apps: DeclaredApps | None = None
    control: ControlHost | None = None
    builds: bool = False

    @property
    def node(self) -> Node:
        """Return the node's state."""
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
        """Return the fingerprint of everything a proof depends on: releases, runtimes, dockerd."""
        wanted = self.expected
        return fingerprint(
            self.node,
            wanted.release,
            wanted.proven_runtimes,
            image=wanted.proof_image,
            declared=wanted,
        )

    @cached_property
    def plan(self) -> Plan | Problem | None:
        """
        Return what a run would do to daemon.json, or why the run would refuse.

        None if Docker does not answer or a change was interrupted.
        """
        if self.node.info is None or self.node.pending:
            return None
        try:
            return plan_for_settings(
                self.node,
                self.expected,
                lambda: self.observed.users,
                restart="reload" if self.settings.restart == "never" else None,
            )
        except Problem as problem:
            return problem


@dataclass(frozen=True)
class Running:
    """A running container, its node, its options, and what the policy says about it."""

    host: Audited
    container: Container
    given: Given

    @property
    def place(self) -> Place | None:
        """Return where it would run after its next start; None if that is not known."""
        return self.host.node.places.get(self.container.id)

    @property
    def must(self) -> bool:
        """
        Return True if the policy says that it must run in gVisor, ignoring exemptions.

        With a default runtime, everything must that the node does not know as infrastructure: names
        and labels are not asked.
        """
        if self.host.settings.dispatch:
            return self.place is None or self.place.where != "runc"
        policy = self.host.settings.must_sandbox
        return must_be_sandboxed(policy, self.container.name, self.given.labels)

    @property
    def exempt(self) -> str | None:
        """Return the reason of its exemption, or None if it has none or needs none."""
        policy = self.host.settings.exempt  # empty with a default runtime
        return exempted(policy, self.container.name, self.given.labels) if self.must else None

    @property
    def sandboxed(self) -> bool:
        """Return True if it was seen in gVisor."""
        return self.container.sandboxed

    @property
    def profile(self) -> Runtime | None:
        """
        Return the declared runtime whose options it has; None if its runtime is not declared.

        A sandbox that asked for runc came to the dispatcher: our program has the place of runc.
        """
        asked, info = self.container.runtime, self.host.node.info
        entry = info.runtimes.get(asked) if info else None
        if self.sandboxed and asks_for_runc(asked, entry):
            asked = DEFAULT_RUNTIME
        return self.host.settings.proven_runtimes.get(asked)

    def seen(self, evidence: str, severity: Severity | None = None) -> Observation:
        """Return a finding about it; only ``info`` if the policy does not require gVisor."""
        if not self.must or self.exempt:
            severity = Severity.INFO
        return Observation(self.container.name, evidence, severity)


def look(rules: Iterable[Rule[S]], subject: S, waivers: dict[str, str]) -> list[Finding]:
    """
    Return what ``rules`` find in ``subject``.

    + waivers: the operator's reasons, by the id of a rule or of a docker-bench-security check
    """
    found = [(rule, seen) for rule in rules for seen in rule.look(subject)]
    return [
        Finding(
            id=rule.id,
            severity=seen.severity or rule.severity,
            subject=seen.subject,
            what=rule.what,
            evidence=seen.evidence,
            remedy=seen.remedy or rule.remedy,
            cis=rule.cis,
            waived=(declared := _declared(rule, seen, waivers)) or rule.waived,
            by_default=declared is None and rule.waived is not None,
        )
        for rule, seen in found
    ]


def _declared(rule: Rule[S], seen: Observation, waivers: Mapping[str, str]) -> str | None:
    """Return why the operator accepts a finding; None if no setting does."""
    return waivers.get(rule.id) or waivers.get(rule.cis or "") or seen.waived
