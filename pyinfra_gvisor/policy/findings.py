"""A finding: what is wrong on a node, how it was seen, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from pydantic import Field

from pyinfra_gvisor.base.models import Strict


class Severity(StrEnum):
    """Severity of a finding, in ascending order."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Return a number for comparisons: a greater one is worse."""
        return list(Severity).index(self)


class Finding(Strict):
    """
    One thing that is wrong. ``subject`` is a container's name, or a path or thing on the node.

    ``evidence`` is what was found, ``remedy`` what to do. ``cis`` is the id of the same check in
    docker-bench-security. ``waived`` is the reason why the finding is accepted. A waived finding
    fails no host.
    """

    id: str = Field(description="The rule's id, such as `container-unsandboxed`.")
    severity: Severity = Field(description="How severe it is.")
    subject: str = Field(description="The container's name, or the file or thing on the node.")
    what: str = Field(description="What is wrong, in a sentence.")
    evidence: str = Field("", description="What was found.")
    remedy: str = Field("", description="What to do.")
    cis: str | None = Field(None, description="docker-bench-security's id of the same check.")
    waived: str | None = Field(None, description="Why it is accepted. It then fails no host.")
    by_default: bool = Field(
        False, description="Accepted by this package's rule, not by a setting. Not in its counts."
    )


def failing(findings: Iterable[Finding], at_least: Severity) -> list[Finding]:
    """Return the findings at or above ``at_least`` that are not waived, the worst first."""
    return [
        item
        for item in worst_first(findings)
        if item.waived is None and item.severity.rank >= at_least.rank
    ]


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings sorted by ``rank``."""
    return sorted(findings, key=rank)


def rank(item: Finding) -> tuple[bool, int, str, str]:
    """Return what findings are sorted by: waived ones last, then by severity, rule and subject."""
    return item.waived is not None, -item.severity.rank, item.id, item.subject


def by_severity(findings: Iterable[Finding]) -> dict[Severity, int]:
    """Return the number of findings for every severity, without those that are waived."""
    counts = dict.fromkeys(Severity, 0)
    for item in findings:
        if item.waived is None:
            counts[item.severity] += 1
    return counts
