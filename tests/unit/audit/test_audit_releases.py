"""The age of what runs in an audit, and an audit between a raised release and its deploy."""

from datetime import timedelta
from typing import Any

from pyinfra_gvisor.audit.judge import judge_package
from pyinfra_gvisor.policy.findings import Finding, Severity, failing
from pyinfra_gvisor.releases import parse_release
from pyinfra_gvisor.releases.known import known
from pyinfra_gvisor.releases.lock import known as known_sums
from pyinfra_gvisor.releases.lockfile import FILES, layout_of
from pyinfra_gvisor.report.document import HostReport
from pyinfra_gvisor.report.textfile import textfile
from tests.cases.proven import RELEASE, proven, proven_answer
from tests.table import table
from tests.unit.answers import Running, answer, info, installed
from tests.unit.audit.audited import AT, BARE, app, audited, found, ids
from tests.unit.releases.origin_server import some_sums

COMMIT = {"ID": "05044ec0a9a75232cad458027ca83437aae3f4da"}
COMPONENTS = ("component containerd v1.7.28 05044ec0a9a7", "component runc 1.3.2 v1.3.2-0-gaeabe4e")
HIGH, MEDIUM = Severity.HIGH, Severity.MEDIUM
OLD = "1.6.20~ds1-1+deb12u1"
NEXT = "20261005.0"
RAISED = {"gvisor_release": NEXT, "gvisor_sha512": {"x86_64": "a" * 128}}
PENDING = f"upgrade-pending runsc {NEXT}"
PINNED = {"gvisor.tar.bz2": "0" * 128}
ELSEWHERE = info(runtimes={"runsc": {"path": "/usr/bin/runsc"}}, live_restore=True)
WRAPPER = next(iter(proven()["wrappers"]))


def vulnerable(version: str, *lines: str, **docker: Any) -> dict[str, Finding]:
    """What is said of the programs of a Docker of this version, by their names."""
    own = {**proven()["docker"], "ServerVersion": version, "ContainerdCommit": {}, "RuncCommit": {}}
    report = audited(*lines, answer=proven_answer(docker={**own, **docker}))
    return {one.subject.split()[0]: one for one in report.findings if one.id == "engine-vulnerable"}


def test_a_published_hole_is_told_with_where_it_is_mended_unless_a_distribution_may_have() -> None:
    own, debians = vulnerable("29.3.0")["Docker"], vulnerable("26.1.5+dfsg1")["Docker"]

    assert (own.severity, debians.severity) == (Severity.HIGH, Severity.MEDIUM)
    assert "CVE-2026-34040 (fixed in 25.0.16, 29.3.1)" in own.evidence
    assert "distribution" not in own.evidence
    assert own.remedy
    assert debians.evidence.endswith(
        "a distribution package, which may contain some of these fixes"
    )
    assert "CVE-2025-52881" in vulnerable("29.8.2", *COMPONENTS)["runc"].evidence


@table(
    "lines, docker, expected",
    mended=((), {}, {}),
    by_dockerd=(COMPONENTS, {}, {"containerd v1.7.28": HIGH, "runc 1.3.2": HIGH}),
    by_runc_itself_where_another_runtime_is_the_default=(
        ("runc_version 1.1.5", "component runsc 20260905.0 -"),
        {"DefaultRuntime": "runsc", "RuncCommit": {"ID": "1.3.9"}},
        {"runc 1.1.5": HIGH},
    ),
    only_a_commit=((), {"ContainerdCommit": COMMIT, "RuncCommit": COMMIT}, {}),
    no_components=((), {"ContainerdCommit": {"ID": OLD}}, {f"containerd {OLD}": MEDIUM}),
)
def test_containerd_and_runc_are_known_by_their_versions_and_not_guessed_at(
    lines: tuple[str, ...], docker: dict[str, Any], expected: dict[str, Severity]
) -> None:
    found = vulnerable("29.8.2", *lines, **docker)

    assert {item.subject: item.severity for item in found.values()} == expected


def test_ubuntus_docker_is_known_by_what_it_says_of_its_commit() -> None:
    lines = (
        "component Engine 28.2.2 28.2.2-0ubuntu1~24.04.1",
        "component containerd 1.7.28 -",
        "component runc 1.3.3-0ubuntu1~24.04.3 -",
    )

    found = vulnerable("28.2.2", *lines)

    assert {item.severity for item in found.values()} <= {Severity.MEDIUM, Severity.LOW}
    assert "a distribution package" in found["Docker"].evidence


@table(
    "place, severity",
    newest=(0, None),
    seven_newer=(7, None),
    eight_newer=(8, Severity.LOW),
    nineteen_newer=(19, Severity.LOW),
    twenty_newer=(20, Severity.MEDIUM),
)
def test_a_release_with_many_newer_ones_is_old(place: int, severity: Severity | None) -> None:
    release = known().gvisor_releases[place]
    sums = some_sums(release, *FILES[layout_of(parse_release(release))])
    archive = {arch: next(iter(of.values())) if len(of) == 1 else of for arch, of in sums.items()}
    settings = {"gvisor_release": release, "gvisor_sha512": archive}

    report = audited(settings={**settings, "gvisor_accept_risk": "a release of a test"})

    found = {item.subject: item for item in report.findings if item.id == "release-old"}
    assert {subject: item.severity for subject, item in found.items()} == (
        {f"runsc {release}": severity} if severity else {}
    )
    if severity:
        assert found[f"runsc {release}"].evidence.startswith(
            f"{place} newer releases were known on "
        )


@table(
    "days, severity",
    of_89_days=(89, None),
    of_90_days=(90, Severity.LOW),
    of_900_days=(900, Severity.LOW),
)
def test_what_is_known_says_itself_that_it_is_old(days: int, severity: Severity | None) -> None:
    found = judge_package(known().as_of + timedelta(days=days), {})

    assert {item.id for item in found} <= {"known-old"}
    assert [item.severity for item in found] == ([severity] if severity else [])
    if severity:
        assert found[0].evidence == f"the list is of {known().as_of}, {days} days old"


def test_a_package_that_writes_daemon_json_is_told_and_no_old_release_without_gvisor() -> None:
    report = audited("writer runsc", "writer nvidia-docker2")
    sums = {"runsc": "0" * 128, "containerd-shim-runsc-v1": "1" * 128}
    both = {"x86_64": sums, "aarch64": sums}
    settings = {"gvisor_release": "20260406.0", "gvisor_sha512": both, "gvisor_runtimes": {}}

    found = [item for item in report.findings if item.id == "package-writes-daemon-json"]
    assert [item.subject for item in found] == ["package nvidia-docker2", "package runsc"]
    assert ids(report) == ["package-writes-daemon-json"] * 2
    assert "release-old" not in {item.id for item in audited(settings=settings).findings}


def having(proof: dict[str, Any] | None = None, **changes: Any) -> list[str]:
    """The answer of a node that is proven on ``RELEASE``, but for these lines."""
    given = {**proven(), **changes}
    record = {"release": RELEASE, "failed": [], "at": AT, "checks": 9, **given["state"]["proof"]}
    return answer(**{**given, "state": {**given["state"], "proof": {**record, **(proof or {})}}})


def raised(*lines: str, told: list[str] | None = None, **settings: Any) -> HostReport:
    """The report on such a node after the release was raised in group data."""
    given = {**RAISED, **{f"gvisor_{key}": value for key, value in settings.items()}}
    return audited(*lines, answer=told or having(), settings=given)


@table(
    "lines",
    nowhere=[],
    on_the_node_too=installed(NEXT, sha512={"gvisor.tar.bz2": "a" * 128}),
    with_an_app_in_a_sandbox_of_the_release_in_use=app().lines(),
    with_a_container_of_somebody_else=Running("db").lines(),
)
def test_a_raised_release_is_one_finding_that_names_both_releases(lines: list[str]) -> None:
    report = raised(*lines)

    assert list(found(report)) == [PENDING]
    finding = found(report)[PENDING]
    assert finding.severity is Severity.MEDIUM
    assert finding.evidence == f"runsc {RELEASE} is in use and proven, {NEXT} is declared"
    assert "Run pyinfra-gvisor apply" in finding.remedy


def test_such_a_node_is_compliant_and_not_clean_and_an_app_on_an_older_release_is_one() -> None:
    older, report = "20260831.0", raised()
    shop = app(executable=f"/opt/gvisor/releases/{older}/runsc")

    behind = found(raised(*installed(older), *shop.lines()))["container-old-release shop"]

    assert report.compliant
    assert report.state == "findings"
    assert (report.node.release, report.node.in_use) == (NEXT, RELEASE)
    assert report.node.proof.holds
    assert f'gvisor_release_info{{release="{RELEASE}"' in textfile(report)
    assert not raised(audit_fail_on="medium").compliant
    assert behind.evidence == f"runs on runsc {older}; {RELEASE} is in use"


@table(
    "lines, settings, rule",
    an_app_on_the_hosts_kernel=(app(**BARE).lines(), {}, "container-unsandboxed"),
    a_key=([], {"daemon_json": {"log-level": "warn"}}, "daemon-json-not-declared"),
)
def test_another_cause_beside_it_is_a_finding_of_its_own(
    lines: list[str], settings: dict[str, Any], rule: str
) -> None:
    report = raised(*lines, **settings)

    assert set(ids(report)) == {rule, "upgrade-pending"}
    assert not report.compliant


@table(
    "told, finding",
    runtime_elsewhere=(having(docker=ELSEWHERE), "runtime-not-declared"),
    manifest_broken=(having(releases=[], damaged=[RELEASE]), "release-damaged"),
    wrapper_gone=(having(wrappers={}), "runtime-not-declared"),
    wrapper_idle=(having(not_executable=WRAPPER), "runtime-not-declared"),
    kernel_changed=(having(uname="6.12.10 x86_64"), "proof-stale"),
    another_state=(having(proof={"fingerprint": "x"}), "proof-stale"),
    not_proven=(having(proof={"failed": ["dmesg"]}), "proof-failed"),
    another_release=(having(proof={"release": "20260831.0"}), "proof-stale"),
    damaged_record=(having(proof={"release": 7}), "proof-stale"),
)
def test_a_node_that_is_not_as_proven_keeps_its_findings(told: list[str], finding: str) -> None:
    report = raised(told=told)

    assert finding in ids(report)
    assert "upgrade-pending" not in ids(report)
    assert failing(report.findings, Severity.HIGH)


def test_neither_an_unpinned_release_nor_changed_runtimes_nor_nothing_is_a_pending_upgrade() -> (
    None
):
    assert known_sums(RELEASE, "x86_64")["gvisor.tar.bz2"] != PINNED["gvisor.tar.bz2"]

    unpinned = raised(*installed(RELEASE, sha512=PINNED), told=having(releases=[]))
    changed = raised(runtimes={"runsc": {"network": "sandbox"}})
    as_declared = audited(answer=having())

    assert "release-missing" in ids(unpinned)
    assert not unpinned.compliant
    assert "runtime-not-declared" in ids(changed)
    assert "upgrade-pending" not in ids(changed)
    assert (found(as_declared), as_declared.node.in_use) == ({}, None)
