"""Findings about the package itself: in one place of each form of the fleet's report."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from pyinfra_gvisor.policy.findings import Finding, Severity
from pyinfra_gvisor.report.document import FleetReport, fleet_report
from pyinfra_gvisor.report.files import write_fleet
from pyinfra_gvisor.report.junit import junit
from pyinfra_gvisor.report.page import page
from pyinfra_gvisor.report.sarif import sarif
from pyinfra_gvisor.report.terminal import fleet_lines
from tests.unit.reports import AT, host
from tests.unit.test_report_schema import fits

OLD = Finding(
    id="known-old",
    severity=Severity.LOW,
    subject="pyinfra-gvisor",
    what="the list is old",
    evidence="100 days",
    remedy="upgrade it",
)
WAIVED = OLD.model_copy(update={"waived": "no upgrade before the freeze ends"})
EACH = pytest.mark.parametrize(
    "finding", [pytest.param(OLD, id="found"), pytest.param(WAIVED, id="waived")]
)


def fleet(finding: Finding) -> FleetReport:
    """Two clean hosts, looked at by a package of which this is found."""
    return fleet_report((host("a"), host("b")), at=AT, by="audit", findings=(finding,))


def suites(report: FleetReport) -> Xml.Element:
    """The root of the JUnit form."""
    return Xml.fromstring(junit(report))  # noqa: S314 (it is our own)


@EACH
def test_it_is_in_the_document_once_and_makes_nobody_fail(finding: Finding) -> None:
    document = fleet(finding).to_json()

    assert fits(document)
    assert document["compliant"]
    assert [item["id"] for item in document["findings"]] == ["known-old"]
    assert {item["state"] for item in document["hosts"]} == {"clean"}
    assert "known-old" not in json.dumps(document["hosts"])


def test_it_is_told_before_the_hosts() -> None:
    lines = fleet_lines(fleet(OLD))

    assert lines[:3] == [
        "LOW known-old pyinfra-gvisor: the list is old",
        "    seen: 100 days",
        "    do: upgrade it",
    ]
    assert lines[-1] == "compliant: 2 of 2 hosts are compliant"


def test_it_is_one_sarif_result_whose_file_is_the_fleets(tmp_path: Path) -> None:
    write_fleet(tmp_path, fleet(OLD))
    (result,) = json.loads(sarif(fleet(OLD)))["runs"][0]["results"]

    location = result["locations"][0]
    assert result["message"]["text"].startswith("pyinfra-gvisor: the list is old")
    assert (tmp_path / location["physicalLocation"]["artifactLocation"]["uri"]).exists()
    assert location["logicalLocations"][0]["fullyQualifiedName"] == "pyinfra-gvisor"


def test_a_waived_one_is_suppressed_in_sarif_and_skipped_in_junit() -> None:
    (result,) = json.loads(sarif(fleet(WAIVED)))["runs"][0]["results"]
    suite = suites(fleet(WAIVED))[0]

    assert result["suppressions"][0]["justification"] == WAIVED.waived
    assert suite.get("skipped") == "1"


def test_it_is_one_suite_of_junit_that_passes() -> None:
    root = suites(fleet(OLD))

    assert [suite.get("name") for suite in root] == ["pyinfra-gvisor", "a", "b"]
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("3", "0", "0")
    assert "upgrade it" in (root[0][0].findtext("system-out") or "")


@EACH
def test_it_stands_once_on_the_page(finding: Finding) -> None:
    html = page(fleet(finding))

    assert html.count("the list is old") == 1
    assert html.index("the list is old") < html.index("Host by host")
    assert (finding.waived or "To do") in html
