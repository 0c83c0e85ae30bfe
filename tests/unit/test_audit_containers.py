"""Containers in an audit: what each was given, what it is, and what the policy says to that."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.policy.findings import Severity
from tests.cases.proven import RELEASE
from tests.unit.answers import program_sha256
from tests.unit.audited import COOLIFY, app, audited, found, ids, waived, with_container

BARE: dict[str, Any] = {"runtime": "runc", "executable": "/usr/bin/node", "argv0": "node"}
EXEMPT = [{"name": "shop", "reason": "it is our own build server"}]


def test_an_app_in_a_sandbox_has_nothing_against_it() -> None:
    report = with_container(app())

    assert found(report) == {}
    assert (report.state, report.compliant) == ("clean", True)
    (container,) = report.containers
    assert (container.must, container.sandboxed, container.asked) == (True, True, "runsc")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(BARE, id="runc"),
        pytest.param({**BARE, "runtime": "runsc"}, id="a-runtime-that-starts-runc"),
        pytest.param({"here": False}, id="an-image-that-looks-like-a-sandbox"),
        pytest.param({"runtime": "runc"}, id="the-node's-own-runsc-in-a-container-of-runc"),
        pytest.param({"argv0": "runsc"}, id="runsc-but-no-sandbox"),
        pytest.param({"executable": "", "argv0": "", "here": False}, id="a-process-that-is-gone"),
    ],
)
def test_an_app_that_is_not_in_a_sandbox_is_found_whatever_it_looks_like(
    changes: dict[str, Any],
) -> None:
    report = with_container(app(**changes))

    finding = found(report)["container-unsandboxed shop"]
    assert finding.severity is Severity.CRITICAL
    assert not report.compliant
    assert not report.containers[0].sandboxed
    assert report.containers[0].release is None


@pytest.mark.parametrize("kind", ["application", "service", "database"])
def test_all_that_coolify_runs_for_its_users_must_be_in_a_sandbox(kind: str) -> None:
    report = with_container(app(labels={**COOLIFY, "coolify.type": kind}, **BARE))

    assert "container-unsandboxed" in ids(report)


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({}, id="none"),
        pytest.param({"coolify.managed": "true", "coolify.proxy": "true"}, id="the-proxy"),
        pytest.param({"coolify.managed": "false", "coolify.type": "service"}, id="not-managed"),
    ],
)
def test_what_the_policy_does_not_name_may_run_as_it_likes(labels: dict[str, str]) -> None:
    report = with_container(app(labels=labels, **BARE, mounts=("/var/run/docker.sock",)))

    assert [item.severity for item in found(report).values()] == [Severity.INFO]
    assert report.state == "clean"


def test_what_asks_for_our_runtime_and_is_not_in_a_sandbox_is_found_without_any_label() -> None:
    report = with_container(app(labels={}, **{**BARE, "runtime": "runsc"}))

    assert list(ids(report)) == ["container-not-as-asked"]
    assert not report.compliant


def test_an_exemption_is_told_with_its_reason_and_fails_nothing() -> None:
    report = with_container(app(**BARE), exempt=EXEMPT)

    assert waived(report)["container-exempt shop"] == "it is our own build server"
    assert found(report) == {}
    assert report.compliant


def test_an_exemption_of_another_container_is_none() -> None:
    report = with_container(app(**BARE), exempt=[{**EXEMPT[0], "name": "sho"}])

    assert "container-unsandboxed" in ids(report)


@pytest.mark.parametrize(
    ("given", "mounts", "rule", "cis"),
    [
        pytest.param({"Privileged": True}, (), "container-privileged", "5.5", id="privileged"),
        pytest.param({"NetworkMode": "host"}, (), "container-host-network", "5.10", id="network"),
        pytest.param({"PidMode": "host"}, (), "container-host-pid", "5.16", id="pid"),
        pytest.param({"IpcMode": "host"}, (), "container-host-ipc", "5.17", id="ipc"),
        pytest.param({"UTSMode": "host"}, (), "container-host-uts", "5.21", id="uts"),
        pytest.param({"UsernsMode": "host"}, (), "container-host-userns", "5.31", id="userns"),
        pytest.param(
            {"CapAdd": ["CAP_SYS_ADMIN", "CHOWN"]}, (), "container-capabilities", "5.4", id="caps"
        ),
        pytest.param({}, ("/run/docker.sock",), "container-docker-socket", "5.32", id="socket"),
        pytest.param({}, ("/usr/",), "container-host-path", "5.6", id="host-path"),
        pytest.param({}, ("/opt",), "container-gvisor-path", "5.6", id="opt"),
        pytest.param(
            {}, ("/opt/gvisor/runtimes",), "container-gvisor-path", "5.6", id="gvisor's-files"
        ),
        pytest.param({}, ("/var/lib/docker",), "container-host-path", "5.6", id="docker's-files"),
        pytest.param(
            {"Annotations": {"dev.gvisor.flag.host-uds": "open"}},
            (),
            "container-annotation",
            None,
            id="annotation",
        ),
    ],
)
def test_what_an_app_was_given_beyond_its_sandbox_is_found(
    given: dict[str, Any], mounts: tuple[str, ...], rule: str, cis: str | None
) -> None:
    report = with_container(app(given=given, mounts=mounts, sha256=program_sha256(RELEASE)))

    assert {item.id: item.cis for item in found(report).values()} == {rule: cis}


@pytest.mark.parametrize(
    ("given", "mounts"),
    [
        pytest.param({"NetworkMode": "bridge", "PidMode": "", "IpcMode": "private"}, (), id="own"),
        pytest.param({"CapAdd": ["NET_BIND_SERVICE"]}, (), id="one-of-docker's-own-capabilities"),
        pytest.param({"CapAdd": None}, (), id="null"),
        pytest.param({"Annotations": {"com.example": "x"}}, (), id="somebody-else's-annotation"),
        pytest.param({}, ("/srv/volumes/a/_data", "/etcetera", "/srv"), id="mounts"),
    ],
)
def test_what_is_usual_is_no_finding(given: dict[str, Any], mounts: tuple[str, ...]) -> None:
    report = with_container(app(given=given, mounts=mounts))

    assert found(report) == {}


def test_a_harmless_annotation_is_told_and_fails_nothing() -> None:
    report = with_container(app(given={"Annotations": {"dev.gvisor.flag.debug": "true"}}))

    assert found(report)["container-annotation shop"].severity is Severity.LOW


def test_a_docker_socket_outside_of_a_sandbox_is_worse() -> None:
    bare = with_container(app(**BARE, mounts=("/run/docker.sock",)))
    sandboxed = with_container(app(mounts=("/run/docker.sock",)))

    key = "container-docker-socket shop"
    assert found(bare)[key].severity is Severity.CRITICAL
    assert found(sandboxed)[key].severity is Severity.HIGH


@pytest.mark.parametrize(
    ("path", "severity", "evidence"),
    [
        pytest.param(
            "/opt/gvisor/releases/20260831.0/runsc",
            Severity.MEDIUM,
            "runs on runsc 20260831.0; 20260928.0 is declared",
            id="older",
        ),
        pytest.param(
            "/opt/gvisor/releases/20240729.0/runsc",
            Severity.HIGH,
            "known escapes: CVE-2025-2713, CVE-2026-96812",
            id="with-an-escape",
        ),
        pytest.param(
            "/usr/local/bin/runsc", Severity.MEDIUM, "runs from /usr/local/bin/runsc", id="foreign"
        ),
    ],
)
def test_a_sandbox_of_another_release_is_found(
    path: str, severity: Severity, evidence: str
) -> None:
    report = with_container(app(executable=path))

    finding = found(report)["container-old-release shop"]
    assert finding.severity is severity
    assert evidence in finding.evidence


def test_a_waiver_by_rule_or_by_docker_bench_id_accepts_with_its_reason() -> None:
    reason = "needed for one customer"
    for key in ("container-privileged", "5.5"):
        report = with_container(app(given={"Privileged": True}), waivers={key: reason})

        assert waived(report)["container-privileged shop"] == reason
        assert report.compliant


def test_a_container_that_vanished_before_it_could_be_asked_is_judged_by_what_is_known() -> None:
    process, container = app().lines()
    bare = container.replace('"Given"', '"Other"')

    report = audited(process, bare)

    assert found(report) == {}
    assert report.containers[0].must is False
