"""The audit of the resolver that sandboxes ask: there, answering, and what was installed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyinfra_gvisor.parts.resolver.files import DIRECTORY, NAME, SERVICE, kept_files
from pyinfra_gvisor.policy.findings import Finding, Severity
from tests.table import table
from tests.unit.answers import answer
from tests.unit.audit.audited import audited, found

NETSTACK = {"gvisor_runtimes": {"gvisor": {"network": "sandbox", "dns": "docker"}}}
HOSTINET = {"gvisor_runtimes": {"runsc": {"network": "host"}}}
ID = "f" * 64


def told(*more: str, without: str = "", other: str = "", **states: str) -> list[str]:
    """What a node tells that has all of it; ``other``: a file that is another there."""
    known = {"socket": "active", "service": "active", **states}
    lines = [f"{kind} {state}" for kind, state in known.items() if state]
    for item in kept_files((), None):
        if item.path != without:
            digest = "0" * 64 if item.path == other else item.sha256
            lines += [f"sum {digest} {item.path}", f"stat {item.mode}:0:0 {item.path}"]
    return [f"resolver {line}" for line in (*lines, "enabled", *more)]


def looked(lines: Sequence[str], settings: dict[str, Any] | None = None) -> dict[str, Finding]:
    """What an audit finds of the resolver, by ``rule subject``."""
    report = audited(*lines, settings=settings or NETSTACK, answer=answer())
    return {key: item for key, item in found(report).items() if item.id.startswith("resolver-")}


def test_a_node_as_declared_is_clean_and_one_without_such_a_runtime_needs_no_resolver() -> None:
    assert looked(told()) == looked([], HOSTINET) == {}


@table(
    "states, evidence",
    program=({"service": "failed"}, "its service is failed"),
    sockets=({"socket": "inactive"}, "its socket is inactive"),
    all=({"socket": "", "service": ""}, "its socket is missing and its service is missing"),
)
def test_a_resolver_that_is_down_is_found(states: dict[str, str], evidence: str) -> None:
    finding = looked(told(**states))[f"resolver-down {NAME}"]

    assert finding.severity is Severity.HIGH
    assert finding.evidence == f"{evidence}; used by gvisor"


def test_a_container_that_still_asks_it_counts_where_nothing_is_declared() -> None:
    finding = looked(told(f"asks {ID}", service="failed"), HOSTINET)[f"resolver-down {NAME}"]

    assert finding.evidence == f"its service is failed; used by {ID[:12]}"


EVIL = f"{DIRECTORY}/evil.py"
NOT_ENABLED = [line for line in told() if line != "resolver enabled"]
GONE_AT_BOOT = "its socket is not enabled: the resolver will not run after a reboot"


@table(
    "lines, subject, evidence",
    changed=(told(other=SERVICE), SERVICE, "the file was changed"),
    missing=(told(without=SERVICE), SERVICE, "the file is missing"),
    more_than_ours=(told(f"stray {EVIL}"), EVIL, "the file is not part of the resolver"),
    not_enabled=(NOT_ENABLED, NAME, GONE_AT_BOOT),
)
def test_what_is_not_as_it_was_installed_is_found(lines: Any, subject: str, evidence: str) -> None:
    findings = looked(lines)

    assert {key: item.evidence for key, item in findings.items()} == {
        f"resolver-not-as-declared {subject}": evidence
    }
