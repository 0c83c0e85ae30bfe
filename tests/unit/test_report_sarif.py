"""The SARIF form, held against what the standard and GitHub require."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from pyinfra_gvisor.policy.findings import Finding, Severity
from pyinfra_gvisor.report.document import FleetReport
from pyinfra_gvisor.report.files import write_fleet, write_host
from pyinfra_gvisor.report.sarif import UNKNOWN, sarif
from tests.unit.reports import SOCKET, WAIVED, every_state, failed, fleet, host, unknown


def run(report: FleetReport) -> dict[str, Any]:
    """The only run of the log."""
    log = json.loads(sarif(report))
    assert log["version"] == "2.1.0"
    (found,) = log["runs"]
    return dict(found)


def test_every_finding_is_a_result_with_what_a_reader_requires() -> None:
    found = run(every_state())
    rules = found["tool"]["driver"]["rules"]

    assert len(found["results"]) == 6
    for result in found["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
        assert result["level"] in ("error", "warning", "note")
        assert result["partialFingerprints"]["primaryLocationLineHash"]


def test_a_result_names_host_and_subject_and_says_what_was_seen() -> None:
    (result,) = run(fleet(host("a", SOCKET)))["results"]
    (location,) = result["locations"]
    (logical,) = location["logicalLocations"]

    assert (logical["name"], logical["fullyQualifiedName"]) == ("panel", "a/panel")
    assert result["message"]["text"] == f"a: panel: {SOCKET.what}\nSeen: {SOCKET.evidence}"


@pytest.mark.parametrize("name", ["run-1", "@docker/x", "a b%/.."])
def test_a_results_file_is_the_hosts_report(name: str, tmp_path: Path) -> None:
    report = fleet(host(name, SOCKET))
    (result,) = run(report)["results"]

    write_fleet(tmp_path, report)
    path = write_host(tmp_path, report.hosts[0])

    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert tmp_path / unquote(uri) == path


@pytest.mark.parametrize(
    ("severity", "level", "score"),
    [
        pytest.param(Severity.CRITICAL, "error", "9.5", id="critical"),
        pytest.param(Severity.HIGH, "error", "8.0", id="high"),
        pytest.param(Severity.MEDIUM, "warning", "5.5", id="medium"),
        pytest.param(Severity.LOW, "note", "2.0", id="low"),
        pytest.param(Severity.INFO, "note", None, id="info"),
    ],
)
def test_a_severity_has_a_level_and_a_score(
    severity: Severity, level: str, score: str | None
) -> None:
    found = run(fleet(host("a", SOCKET.model_copy(update={"severity": severity}))))
    (rule,) = found["tool"]["driver"]["rules"]

    assert found["results"][0]["level"] == level
    assert rule["properties"].get("security-severity") == score


def test_a_rules_help_is_every_remedy_once_and_its_tags_name_docker_bench() -> None:
    other = SOCKET.model_copy(update={"subject": "b", "remedy": "Remove it."})
    third = SOCKET.model_copy(update={"subject": "c"})

    (rule,) = run(fleet(host("a", SOCKET, other, third)))["tool"]["driver"]["rules"]

    assert sorted(rule["help"]["text"].splitlines()) == ["Remove it.", SOCKET.remedy]
    assert rule["properties"]["tags"] == ["security", "docker-bench-5.32"]


def test_a_waived_finding_is_suppressed_with_its_reason() -> None:
    by_rule = {result["ruleId"]: result for result in run(fleet(failed()))["results"]}

    (suppression,) = by_rule[WAIVED.id]["suppressions"]
    assert (suppression["status"], suppression["justification"]) == ("accepted", WAIVED.waived)
    assert "suppressions" not in by_rule[SOCKET.id]


def test_an_unknown_host_is_a_result_and_the_run_was_no_success() -> None:
    found = run(fleet(host("a"), unknown("b", "no route to host")))

    (result,) = found["results"]
    assert (result["ruleId"], result["level"]) == (UNKNOWN, "error")
    assert "no route to host" in result["message"]["text"]
    assert found["invocations"][0]["executionSuccessful"] is False


def test_a_clean_fleet_has_no_results_and_the_run_was_a_success() -> None:
    found = run(fleet(host("a")))

    assert found["results"] == []
    assert found["invocations"][0]["executionSuccessful"] is True


def test_a_finding_is_the_same_one_whatever_was_seen_and_another_one_elsewhere() -> None:
    def fingerprint(name: str, finding: Finding) -> str:
        (result,) = run(fleet(host(name, finding)))["results"]
        return str(result["partialFingerprints"]["primaryLocationLineHash"])

    seen_later = SOCKET.model_copy(update={"evidence": "another one"})
    elsewhere = SOCKET.model_copy(update={"subject": "other"})

    assert fingerprint("a", SOCKET) == fingerprint("a", seen_later)
    assert (
        len({fingerprint("a", SOCKET), fingerprint("b", SOCKET), fingerprint("a", elsewhere)}) == 3
    )
