"""
The fleet's report for code scanning: SARIF 2.1.0.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html; what GitHub reads of it:
https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from pyinfra_gvisor.policy.findings import Finding, Severity
from pyinfra_gvisor.report.document import FleetReport, HostReport
from pyinfra_gvisor.report.names import host_path

PACKAGE: Final = "pyinfra-gvisor"  # in place of a host's name: a finding about the package itself
FLEET_FILE: Final = "fleet.json"
UNKNOWN: Final = "host-unknown"  # the rule of a host that could not be checked
UNKNOWN_REMEDY = "Make the host reachable, then run the audit again"

LEVELS = {
    Severity.INFO: "note",
    Severity.LOW: "note",
    Severity.MEDIUM: "warning",
    Severity.HIGH: "error",
    Severity.CRITICAL: "error",
}
# The middle of the range that GitHub uses for each severity. GitHub has no "info".
SCORES = {
    Severity.LOW: "2.0",
    Severity.MEDIUM: "5.5",
    Severity.HIGH: "8.0",
    Severity.CRITICAL: "9.5",
}


def sarif(report: FleetReport) -> str:
    """Return the report as SARIF JSON. Waived findings are suppressed, with their reason."""
    found = [(PACKAGE, FLEET_FILE, item) for item in report.findings]
    for host in report.hosts:
        found += [(host.host, host_path(host.host), item) for item in _findings(host)]
    rules = _rules(item for _, _, item in found)
    run = {
        "tool": {"driver": {"name": "pyinfra-gvisor", "rules": list(rules.values())}},
        "invocations": [
            {
                "executionSuccessful": all(host.error is None for host in report.hosts),
                "endTimeUtc": _utc(report.at),
            }
        ],
        "results": [
            _result(name, file, item, list(rules).index(item.id)) for name, file, item in found
        ],
    }
    document = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }
    return json.dumps(document, indent=2) + "\n"


def _findings(host: HostReport) -> list[Finding]:
    if host.error is None:
        return list(host.findings)
    return [
        Finding(
            id=UNKNOWN,
            severity=Severity.CRITICAL,
            subject=host.host,
            what="This host could not be checked, so it counts as not compliant",
            evidence=host.error,
            remedy=UNKNOWN_REMEDY,
        )
    ]


def _rules(findings: Iterable[Finding]) -> dict[str, dict[str, Any]]:
    by_id: dict[str, list[Finding]] = {}
    for item in findings:
        by_id.setdefault(item.id, []).append(item)
    return {rule: _rule(rule, items) for rule, items in sorted(by_id.items())}


def _rule(rule: str, items: list[Finding]) -> dict[str, Any]:
    worst = max((item.severity for item in items), key=lambda severity: severity.rank)
    remedies = dict.fromkeys(item.remedy for item in items if item.remedy)
    benches = sorted({f"docker-bench-{item.cis}" for item in items if item.cis})
    properties: dict[str, Any] = {"tags": ["security", *benches]}
    if worst in SCORES:
        properties["security-severity"] = SCORES[worst]
    return {
        "id": rule,
        "shortDescription": {"text": rule.replace("-", " ")},
        "fullDescription": {"text": items[0].what},
        "help": {"text": "\n".join(remedies) or items[0].what},
        "defaultConfiguration": {"level": LEVELS[worst]},
        "properties": properties,
    }


def _result(host: str, file: str, item: Finding, index: int) -> dict[str, Any]:
    lines = (
        f"{_path(host, item.subject, ': ')}: {item.what}",
        item.evidence and f"Seen: {item.evidence}",
    )
    result: dict[str, Any] = {
        "ruleId": item.id,
        "ruleIndex": index,
        "level": LEVELS[item.severity],
        "message": {"text": "\n".join(line for line in lines if line)},
        "locations": [_location(host, file, item.subject)],
        "partialFingerprints": {"primaryLocationLineHash": _fingerprint(host, item)},
        "properties": {"severity": item.severity.value, "host": host, "subject": item.subject},
    }
    if item.waived is not None:
        result["suppressions"] = [
            {"kind": "external", "status": "accepted", "justification": item.waived}
        ]
    return result


def _location(host: str, file: str, subject: str) -> dict[str, Any]:
    """Return the location of a result: GitHub requires a file, which is the host's report."""
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(file)},
            "region": {"startLine": 1},
        },
        "logicalLocations": [
            {"name": subject, "fullyQualifiedName": _path(host, subject, "/"), "kind": "resource"}
        ],
    }


def _path(host: str, subject: str, separator: str) -> str:
    return subject if host == subject else f"{host}{separator}{subject}"


def _fingerprint(host: str, item: Finding) -> str:
    """Return the identity of a finding: the same in every report, even if its texts change."""
    return hashlib.sha256("\0".join((host, item.id, item.subject)).encode()).hexdigest()


def _utc(at: str) -> str:
    return datetime.fromisoformat(at).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
