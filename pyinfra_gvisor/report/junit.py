"""
The fleet's report for a CI job: JUnit XML with one suite for each host.

JUnit XML has no standard. The elements and attributes are those that Jenkins and GitLab read:
https://github.com/jenkinsci/xunit-plugin/blob/master/src/main/resources/org/jenkinsci/plugins/xunit/types/model/xsd/junit-10.xsd
https://docs.gitlab.com/ci/testing/unit_test_reports/
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple
from xml.etree import ElementTree as Xml

from pyinfra_gvisor.policy.findings import Finding, Severity
from pyinfra_gvisor.report.document import FleetReport, HostReport

PACKAGE = "pyinfra-gvisor"  # the suite of findings about the package itself
LOOKED_AT = "was looked at"  # a case of every host, so that a host without findings shows

# Characters that XML 1.0 does not allow, even escaped: https://www.w3.org/TR/xml/#charsets
_IMPOSSIBLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Case(NamedTuple):
    """A test case; ``outcome`` is the name of its element, None if it passed without a text."""

    name: str
    outcome: str | None = None
    message: str = ""
    text: str = ""


def junit(report: FleetReport) -> str:
    """
    Return the report as JUnit XML.

    Findings that make a host fail are failures. Hosts that could not be checked are errors. Waived
    findings are skipped, with their reason. Less severe findings pass, with a text.
    """
    root = Xml.Element("testsuites", name="gVisor isolation")
    if report.findings:
        about = [_case(item, f"{item.id}: {item.subject}", None) for item in report.findings]
        _suite(root, PACKAGE, report.at, about)
    for host in report.hosts:
        _suite(root, host.host, host.at, list(_cases(host)))
    if not report.hosts:
        _suite(root, "fleet", report.at, [Case(LOOKED_AT, "error", "no host was checked")])
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    Xml.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{Xml.tostring(root, encoding="unicode")}\n'


def _cases(host: HostReport) -> Iterator[Case]:
    if host.error is None:
        yield Case(LOOKED_AT)
    else:
        yield Case(LOOKED_AT, "error", "this host could not be checked", host.error)
    seen: Counter[str] = Counter()
    for item in host.findings:
        name = f"{item.id}: {item.subject}"
        seen[name] += 1  # GitLab shows only one of several cases with the same name
        yield _case(item, name if seen[name] == 1 else f"{name} ({seen[name]})", host.fail_on)


def _case(item: Finding, name: str, fail_on: Severity | None) -> Case:
    if item.waived is not None:
        return Case(name, "skipped", f"waived: {item.waived}")
    fails = fail_on is not None and item.severity.rank >= fail_on.rank
    outcome = "failure" if fails else "system-out"
    return Case(name, outcome, item.what, _text(item))


def _text(item: Finding) -> str:
    lines = {
        "severity": item.severity,
        "what": item.what,
        "seen": item.evidence,
        "do": item.remedy,
        "docker-bench": item.cis,
    }
    return "\n".join(f"{label}: {text}" for label, text in lines.items() if text)


def _suite(root: Xml.Element, host: str, at: str, cases: list[Case]) -> None:
    outcomes = Counter(case.outcome for case in cases)
    suite = Xml.SubElement(
        root,
        "testsuite",
        name=_possible(host),
        tests=str(len(cases)),
        failures=str(outcomes["failure"]),
        errors=str(outcomes["error"]),
        skipped=str(outcomes["skipped"]),
        time="0",
        # Readers expect UTC without an offset.
        timestamp=datetime.fromisoformat(at).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
    )
    for case in cases:
        made = Xml.SubElement(
            suite, "testcase", classname=_possible(host), name=_possible(case.name), time="0"
        )
        if case.outcome is not None:
            _outcome(made, case, case.outcome)


def _outcome(made: Xml.Element, case: Case, outcome: str) -> None:
    inner = Xml.SubElement(made, outcome)
    if outcome != "system-out":
        inner.set("message", _possible(case.message))
    if outcome in ("failure", "error"):
        inner.set("type", outcome)
    inner.text = _possible(case.text) or None


def _possible(text: str) -> str:
    return _IMPOSSIBLE.sub("\ufffd", text)
