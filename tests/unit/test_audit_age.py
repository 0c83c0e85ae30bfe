"""An audit's findings about the age of what runs, and about packages that write daemon.json."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pyinfra_gvisor.audit.judge import judge_package
from pyinfra_gvisor.policy.findings import Finding, Severity
from pyinfra_gvisor.releases import parse_release
from pyinfra_gvisor.releases.known import known
from pyinfra_gvisor.releases.lockfile import FILES, layout_of
from tests.cases.proven import proven, proven_answer
from tests.unit.audited import audited, ids
from tests.unit.origin_server import some_sums


def vulnerable(version: str, *lines: str, **docker: Any) -> dict[str, Finding]:
    """What is said of the programs of a Docker of this version, by their names."""
    told = {
        **proven()["docker"],
        "ServerVersion": version,
        "ContainerdCommit": {},
        "RuncCommit": {},
    }
    report = audited(*lines, answer=proven_answer(docker={**told, **docker}))
    return {
        item.subject.split()[0]: item for item in report.findings if item.id == "engine-vulnerable"
    }


def test_a_docker_with_a_published_hole_is_told_with_where_it_is_mended() -> None:
    found = vulnerable("29.3.0")["Docker"]

    assert found.severity is Severity.HIGH
    assert "CVE-2026-34040 (fixed in 29.3.1)" in found.evidence
    assert "distribution" not in found.evidence
    assert found.remedy


def test_a_docker_of_a_distribution_may_have_been_mended_under_its_number() -> None:
    found = vulnerable("26.1.5+dfsg1")["Docker"]

    assert found.severity is Severity.MEDIUM
    assert found.evidence.endswith("a distribution package, which may contain some of these fixes")


def test_a_docker_that_is_mended_is_not_told() -> None:
    assert vulnerable("29.8.2") == {}


def test_containerd_and_runc_are_known_by_what_dockerd_says_of_them() -> None:
    lines = ("component containerd v1.7.28 05044ec0a9a7", "component runc 1.3.2 v1.3.2-0-gaeabe4e")

    found = vulnerable("29.8.2", *lines)

    assert [item.subject for item in found.values()] == ["containerd v1.7.28", "runc 1.3.2"]
    assert "CVE-2025-52881" in found["runc"].evidence
    assert [item.severity for item in found.values()] == [Severity.HIGH, Severity.HIGH]


def test_ubuntus_docker_is_known_by_what_it_says_of_its_commit() -> None:
    lines = (
        "component Engine 28.2.2 28.2.2-0ubuntu1~24.04.1",
        "component containerd 1.7.28 -",
        "component runc 1.3.3-0ubuntu1~24.04.3 -",
    )

    found = vulnerable("28.2.2", *lines)

    assert {item.severity for item in found.values()} <= {Severity.MEDIUM, Severity.LOW}
    assert "a distribution package" in found["Docker"].evidence


def test_runc_is_known_by_itself_where_another_runtime_is_the_default() -> None:
    lines = ("runc_version 1.1.5", "component runsc 20260905.0 -")

    found = vulnerable("28.5.2", *lines, DefaultRuntime="runsc", RuncCommit={"ID": "1.3.9"})

    assert found["runc"].subject == "runc 1.1.5"


def test_a_program_of_which_only_a_commit_is_known_is_not_guessed_at() -> None:
    commit = {"ID": "05044ec0a9a75232cad458027ca83437aae3f4da"}

    assert vulnerable("29.8.2", ContainerdCommit=commit, RuncCommit=commit) == {}


def test_without_components_the_versions_of_info_count() -> None:
    found = vulnerable("29.8.2", ContainerdCommit={"ID": "1.6.20~ds1-1+deb12u1"})

    assert [item.subject for item in found.values()] == ["containerd 1.6.20~ds1-1+deb12u1"]
    assert found["containerd"].severity is Severity.MEDIUM


@pytest.mark.parametrize(
    ("place", "severity"),
    [
        pytest.param(0, None, id="newest"),
        pytest.param(7, None, id="seven-newer"),
        pytest.param(8, Severity.LOW, id="eight-newer"),
        pytest.param(19, Severity.LOW, id="nineteen-newer"),
        pytest.param(20, Severity.MEDIUM, id="twenty-newer"),
    ],
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


def test_of_a_node_without_gvisor_no_release_is_old() -> None:
    release = "20260406.0"
    sums = {"runsc": "0" * 128, "containerd-shim-runsc-v1": "1" * 128}
    settings = {"gvisor_release": release, "gvisor_sha512": {"x86_64": sums, "aarch64": sums}}

    report = audited(settings={**settings, "gvisor_runtimes": {}})

    assert [item for item in report.findings if item.id == "release-old"] == []


@pytest.mark.parametrize(
    ("days", "severity"),
    [
        pytest.param(89, None, id="89-days"),
        pytest.param(90, Severity.LOW, id="90-days"),
        pytest.param(900, Severity.LOW, id="900-days"),
    ],
)
def test_what_is_known_says_itself_that_it_is_old(days: int, severity: Severity | None) -> None:
    found = judge_package(known().as_of + timedelta(days=days), {})

    assert {item.id for item in found} <= {"known-old"}
    assert [item.severity for item in found] == ([severity] if severity else [])
    if severity:
        assert found[0].evidence == f"the list is of {known().as_of}, {days} days old"


def test_a_package_that_writes_daemon_json_is_told() -> None:
    report = audited("writer runsc", "writer nvidia-docker2")

    found = [item for item in report.findings if item.id == "package-writes-daemon-json"]
    assert [item.subject for item in found] == ["package nvidia-docker2", "package runsc"]
    assert ids(report) == ["package-writes-daemon-json"] * 2
