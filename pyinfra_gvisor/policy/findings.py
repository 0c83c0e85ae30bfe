"""A finding: what is wrong on a node, how it was seen, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from pydantic import Field

from pyinfra_gvisor.models import Strict


class Severity(StrEnum):
    """How bad a finding is; the order is that of the members, the mildest first."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """For comparing: greater is worse."""
        return list(Severity).index(self)


class Finding(Strict):
    """
    One thing found. ``subject`` is what it is about: a container's name or a path on the node.

    ``evidence`` is what was seen, ``remedy`` what to do. ``cis`` is the id of the same check in
    docker-bench-security. ``waived`` says why it is accepted; a waived finding fails nothing.
    """

    id: str = Field(description="The rule's id, such as `container-unsandboxed`.")
    severity: Severity = Field(description="How bad it is.")
    subject: str = Field(description="The container's name, or the file or thing on the node.")
    what: str = Field(description="What is wrong, in a sentence.")
    evidence: str = Field("", description="What was seen.")
    remedy: str = Field("", description="What to do.")
    cis: str | None = Field(None, description="docker-bench-security's id of the same check.")
    waived: str | None = Field(None, description="Why it is accepted: it then fails nothing.")


def failing(findings: Iterable[Finding], at_least: Severity) -> list[Finding]:
    """The findings that are not waived and at or above ``at_least``, the worst first."""
    return [
        item
        for item in worst_first(findings)
        if item.waived is None and item.severity.rank >= at_least.rank
    ]


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Findings by severity, those that are waived last, then by rule and subject."""
    return sorted(
        findings,
        key=lambda item: (item.waived is not None, -item.severity.rank, item.id, item.subject),
    )


def by_severity(findings: Iterable[Finding]) -> dict[Severity, int]:
    """How many there are of each severity, waived ones left out; every severity is there."""
    counts = dict.fromkeys(Severity, 0)
    for item in findings:
        if item.waived is None:
            counts[item.severity] += 1
    return counts
