"""What a report says of itself: compliant or not, and in which state."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.report.document import FleetReport, HostReport, not_looked_at
from tests.unit.reports import AT, MODE, SOCKET, UNSANDBOXED, WAIVED, fleet, host, unknown

NOTE = MODE.model_copy(update={"severity": Severity.INFO})


@pytest.mark.parametrize(
    ("report", "state", "compliant"),
    [
        pytest.param(host("a"), "clean", True, id="nothing-found"),
        pytest.param(host("a", WAIVED), "clean", True, id="waived"),
        pytest.param(host("a", NOTE), "clean", True, id="for-information"),
        pytest.param(host("a", MODE), "findings", True, id="milder-than-fail-on"),
        pytest.param(host("a", SOCKET), "failed", False, id="at-fail-on"),
        pytest.param(host("a", UNSANDBOXED), "failed", False, id="worse-than-fail-on"),
        pytest.param(unknown("a"), "unknown", False, id="not-looked-at"),
    ],
)
def test_a_hosts_state_follows_from_its_findings(
    report: HostReport, state: str, compliant: bool
) -> None:
    document = report.to_json()

    assert (document["state"], document["compliant"]) == (state, compliant)


@pytest.mark.parametrize(
    ("report", "compliant"),
    [
        pytest.param(fleet(), False, id="no-host"),
        pytest.param(fleet(host("a"), host("b", MODE)), True, id="all-compliant"),
        pytest.param(fleet(host("a"), host("b", SOCKET)), False, id="one-failed"),
        pytest.param(fleet(host("a"), unknown("b")), False, id="one-unknown"),
    ],
)
def test_a_fleet_is_compliant_if_there_are_hosts_and_all_are(
    report: FleetReport, compliant: bool
) -> None:
    assert report.to_json()["compliant"] is compliant


def test_the_fleets_document_holds_the_hosts_documents_by_name() -> None:
    first, second = host("a", MODE), unknown("b")

    assert fleet(second, first).to_json()["hosts"] == [first.to_json(), second.to_json()]


def test_findings_stand_the_worst_first_and_waived_ones_last() -> None:
    report = host("a", WAIVED, MODE, UNSANDBOXED, SOCKET)

    assert report.findings == (UNSANDBOXED, SOCKET, MODE, WAIVED)


@pytest.mark.parametrize(
    "at",
    [
        pytest.param("2026-11-25T01:02:03", id="no-offset"),
        pytest.param("yesterday", id="no-time"),
        pytest.param("", id="empty"),
    ],
)
def test_a_time_that_is_none_or_without_its_offset_is_refused(at: str) -> None:
    given: dict[str, Any] = {"by": "audit", "fail_on": Severity.HIGH, "error": "down"}

    assert not_looked_at("a", at=AT, **given).at == AT
    with pytest.raises(ValidationError, match="time"):
        not_looked_at("a", at=at, **given)
