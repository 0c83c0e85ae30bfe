"""The JUnit form, read as a CI job reads it."""

from __future__ import annotations

from xml.etree import ElementTree as Xml

import pytest

from pyinfra_gvisor.report.document import FleetReport
from pyinfra_gvisor.report.junit import LOOKED_AT, junit
from tests.unit.reports import MODE, SOCKET, UNSANDBOXED, every_state, failed, fleet, host, unknown


def suites(report: FleetReport) -> dict[str, Xml.Element]:
    """The suites by name."""
    root = Xml.fromstring(junit(report))  # noqa: S314 (it is our own)
    return {suite.attrib["name"]: suite for suite in root}


def outcomes(suite: Xml.Element) -> dict[str, str]:
    """How each case ended."""
    return {
        case.attrib["name"]: case[0].tag if len(case) else "passed"
        for case in suite.iter("testcase")
    }


def test_a_host_that_fails_has_failures_passes_and_what_is_waived() -> None:
    suite = suites(fleet(failed()))["run-2"]

    assert outcomes(suite) == {
        LOOKED_AT: "passed",
        "container-unsandboxed: shop-db": "failure",
        "container-docker-sock: panel": "failure",
        "daemon-json-mode: /etc/docker/daemon.json": "system-out",
        "userns-remap: dockerd": "skipped",
    }
    counted = [suite.attrib[name] for name in ("tests", "failures", "errors", "skipped")]
    assert counted == ["5", "2", "0", "1"]


def test_a_failure_says_what_was_seen_and_what_to_do() -> None:
    (failure,) = suites(fleet(host("a", SOCKET)))["a"].iter("failure")

    assert failure.attrib["message"] == SOCKET.what
    for text in (SOCKET.evidence, SOCKET.remedy, "docker-bench: 5.32", "severity: high"):
        assert text in (failure.text or "")


def test_a_waived_finding_is_skipped_with_its_reason() -> None:
    (skipped,) = suites(fleet(failed()))["run-2"].iter("skipped")

    assert skipped.attrib["message"] == "waived: gVisor does not run under userns-remap"


def test_a_clean_host_has_a_case_that_passes() -> None:
    assert outcomes(suites(fleet(host("a")))["a"]) == {LOOKED_AT: "passed"}


def test_an_unknown_host_is_an_error_with_the_reason() -> None:
    suite = suites(fleet(unknown("a", "no route to host")))["a"]

    assert outcomes(suite) == {LOOKED_AT: "error"}
    assert suite.findtext("testcase/error") == "no route to host"
    assert suite.attrib["errors"] == "1"


def test_a_fleet_without_hosts_is_an_error() -> None:
    assert outcomes(suites(fleet())["fleet"]) == {LOOKED_AT: "error"}


def test_the_root_counts_what_the_suites_count() -> None:
    root = Xml.fromstring(junit(every_state()))  # noqa: S314 (it is our own)

    assert len(root.findall("testsuite")) == 4
    for name in ("tests", "failures", "errors"):
        assert int(root.attrib[name]) == sum(int(suite.attrib[name]) for suite in root) > 0


def test_two_findings_of_one_name_are_two_cases() -> None:
    other = SOCKET.model_copy(update={"what": "has it mounted twice"})

    suite = suites(fleet(host("a", SOCKET, other)))["a"]

    assert list(outcomes(suite).values()).count("failure") == 2


def test_times_are_utc_without_an_offset() -> None:
    later = host("a").model_copy(update={"at": "2026-11-25T01:02:03+02:00"})

    assert suites(fleet(later))["a"].attrib["timestamp"] == "2026-11-24T23:02:03"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("<script>&\"'", "<script>&\"'", id="markup"),
        pytest.param("a\x1b[31mb\x00\ufffe", "a\ufffd[31mb\ufffd\ufffd", id="control"),
        pytest.param("käse 🧀", "käse 🧀", id="beyond-ascii"),
    ],
)
def test_what_a_node_says_can_be_read_back(text: str, expected: str) -> None:
    finding = UNSANDBOXED.model_copy(update={"subject": text, "evidence": text, "what": text})

    suite = suites(fleet(host(text, finding, MODE)))[expected]

    assert f"container-unsandboxed: {expected}" in outcomes(suite)
    assert f"seen: {expected}\n" in (suite.findtext("testcase/failure") or "")
