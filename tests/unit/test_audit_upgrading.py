"""An audit between the change of `gvisor_release` and the deploy: one cause, one finding."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.policy.findings import Severity, failing
from pyinfra_gvisor.releases.lock import known
from pyinfra_gvisor.report.document import HostReport
from pyinfra_gvisor.report.textfile import textfile
from tests.cases.proven import RELEASE, proven
from tests.unit.answers import Running, answer, info, installed
from tests.unit.audited import AT, app, audited, found, ids

NEXT = "20261005.0"
RAISED = {"gvisor_release": NEXT, "gvisor_sha512": {"x86_64": "a" * 128}}
PENDING = f"upgrade-pending runsc {NEXT}"


def having(proof: dict[str, Any] | None = None, **changes: Any) -> list[str]:
    """The answer of a node that is proven on ``RELEASE``, but for these lines."""
    given = {**proven(), **changes}
    record = {"release": RELEASE, "failed": [], "at": AT, "checks": 9, **given["state"]["proof"]}
    return answer(**{**given, "state": {**given["state"], "proof": {**record, **(proof or {})}}})


def raised(*lines: str, told: list[str] | None = None, **settings: Any) -> HostReport:
    """The report on such a node after the release was raised in group data."""
    given = {**RAISED, **{f"gvisor_{key}": value for key, value in settings.items()}}
    return audited(*lines, answer=told or having(), settings=given)


@pytest.mark.parametrize(
    "there",
    [
        pytest.param([], id="nowhere"),
        pytest.param(installed(NEXT, sha512={"gvisor.tar.bz2": "a" * 128}), id="on-the-node-too"),
    ],
)
def test_a_raised_release_is_one_finding_that_names_both_releases(there: list[str]) -> None:
    report = raised(*there)

    assert list(found(report)) == [PENDING]
    finding = found(report)[PENDING]
    assert finding.severity is Severity.MEDIUM
    assert finding.evidence == f"runsc {RELEASE} is in use and proven, {NEXT} is declared"
    assert "Run pyinfra-gvisor apply" in finding.remedy


def test_such_a_node_is_compliant_and_not_clean() -> None:
    report = raised()

    assert report.compliant
    assert report.state == "findings"
    assert report.node is not None
    assert (report.node.release, report.node.in_use) == (NEXT, RELEASE)
    assert report.node.proof.holds
    assert f'gvisor_release_info{{release="{RELEASE}"' in textfile(report)


def test_whoever_wants_pending_upgrades_to_fail_says_so() -> None:
    assert not raised(audit_fail_on="medium").compliant


def test_an_app_in_a_sandbox_of_the_release_in_use_is_no_finding() -> None:
    report = raised(*app().lines())

    assert list(found(report)) == [PENDING]


def test_an_app_on_the_hosts_kernel_fails_the_node_beside_the_pending_upgrade() -> None:
    report = raised(*app(runtime="runc", executable="/usr/bin/node", argv0="node").lines())

    assert set(ids(report)) == {"container-unsandboxed", "upgrade-pending"}
    assert not report.compliant


def test_an_app_on_an_older_release_still_is_one() -> None:
    older = "20260831.0"
    shop = app(executable=f"/opt/gvisor/releases/{older}/runsc")

    report = raised(*installed(older), *shop.lines())

    evidence = found(report)["container-old-release shop"].evidence
    assert evidence == f"runs on runsc {older}; {RELEASE} is in use"


def elsewhere() -> dict[str, Any]:
    """What dockerd knows where the runtime points at a file of somebody's."""
    return {"docker": info(runtimes={"runsc": {"path": "/usr/bin/runsc"}}, live_restore=True)}


PINNED = {"gvisor.tar.bz2": "0" * 128}


@pytest.mark.parametrize(
    ("told", "finding"),
    [
        pytest.param(having(**elsewhere()), "runtime-not-declared", id="runtime-elsewhere"),
        pytest.param(
            having(releases=[], damaged=[RELEASE]), "release-damaged", id="manifest-broken"
        ),
        pytest.param(having(wrappers={}), "runtime-not-declared", id="wrapper-gone"),
        pytest.param(
            having(not_executable=next(iter(proven()["wrappers"]))),
            "runtime-not-declared",
            id="wrapper-idle",
        ),
        pytest.param(having(uname="6.12.10 x86_64"), "proof-stale", id="kernel-changed"),
        pytest.param(having(proof={"fingerprint": "x"}), "proof-stale", id="another-state"),
        pytest.param(having(proof={"failed": ["dmesg"]}), "proof-failed", id="not-proven"),
        pytest.param(having(proof={"release": "20260831.0"}), "proof-stale", id="another-release"),
        pytest.param(having(proof={"release": 7}), "proof-stale", id="damaged-record"),
    ],
)
def test_a_node_that_is_not_as_proven_keeps_its_findings(told: list[str], finding: str) -> None:
    report = raised(told=told)

    assert finding in ids(report)
    assert "upgrade-pending" not in ids(report)
    assert failing(report.findings, Severity.HIGH)


def test_a_release_in_use_that_is_not_the_pinned_one_is_no_pending_upgrade() -> None:
    assert known(RELEASE, "x86_64")["gvisor.tar.bz2"] != PINNED["gvisor.tar.bz2"]

    report = raised(*installed(RELEASE, sha512=PINNED), told=having(releases=[]))

    assert "release-missing" in ids(report)
    assert not report.compliant


def test_another_cause_beside_it_is_a_finding_of_its_own() -> None:
    report = raised(daemon_json={"log-level": "warn"})

    assert set(ids(report)) == {"daemon-json-not-declared", "upgrade-pending"}
    assert not report.compliant


def test_changed_runtimes_are_not_taken_for_a_pending_upgrade() -> None:
    report = raised(runtimes={"runsc": {"network": "sandbox"}})

    assert "runtime-not-declared" in ids(report)
    assert "upgrade-pending" not in ids(report)


def test_a_node_on_the_declared_release_has_no_pending_upgrade() -> None:
    report = audited(answer=having())

    assert found(report) == {}
    assert report.node is not None
    assert report.node.in_use is None


def test_a_container_of_somebody_else_does_not_matter() -> None:
    assert list(found(raised(*Running("db").lines()))) == [PENDING]
