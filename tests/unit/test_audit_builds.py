"""What an audit says of image builds: what is seen of them, and where they may be."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.policy.findings import Finding, Severity
from tests.unit.answers import Running
from tests.unit.audited import audited, found

CACHE = "build_cache 18 2026-11-25T14:05:19Z"
RAN = "build_ran 1764079522"
HELPER = "ghcr.io/coollabsio/coolify-helper:1.0.12"
BUILDER = "moby/buildkit:buildx-stable-1"
NO_GVISOR: dict[str, Any] = {"gvisor_runtimes": {}}


def running(name: str, image: str) -> list[str]:
    """The lines for a container of this image that nobody has a policy for."""
    return Running(name, given={"Image": image}).lines()


def builds(*lines: str, **given: Any) -> Finding | None:
    """What is said of builds on a node with these lines in its answer."""
    return found(audited(*lines, **given)).get("builds-unsandboxed image builds")


@pytest.mark.parametrize(
    ("lines", "evidence"),
    [
        pytest.param(
            [CACHE],
            "18 records in Docker's build cache, last used 2026-11-25T14:05:19Z",
            id="a-cache",
        ),
        pytest.param(["build_cache 1 "], "1 records in Docker's build cache", id="never-used"),
        pytest.param(
            running("buildx_buildkit_rail0", BUILDER),
            f"buildx_buildkit_rail0 ({BUILDER})",
            id="a-builder-of-its-own",
        ),
        pytest.param(
            [CACHE, *running("x8s0", HELPER)],
            "18 records in Docker's build cache, last used 2026-11-25T14:05:19Z; "
            f"a Coolify deployment is running: x8s0 ({HELPER})",
            id="a-cache-and-a-deployment",
        ),
    ],
)
def test_builds_beside_apps_are_told_with_what_was_seen(lines: list[str], evidence: str) -> None:
    finding = builds(*lines)

    assert finding is not None
    assert (finding.severity, finding.evidence) == (Severity.MEDIUM, evidence)
    assert "docker builder prune -a" in finding.remedy


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(["build_cache 0 "], id="an-empty-cache"),
        pytest.param([], id="an-old-docker-that-never-built"),
        pytest.param(running("backup-of-x8s0", HELPER), id="a-backup"),
        pytest.param(running("shop", "shop:2"), id="an-app"),
    ],
)
def test_a_node_on_which_no_build_was_seen_has_nothing_against_it(lines: list[str]) -> None:
    assert found(audited(*lines)) == {}


def test_a_docker_that_does_not_tell_its_cache_may_tell_that_a_step_has_run() -> None:
    finding = builds(RAN)

    assert finding is not None
    assert finding.severity is Severity.LOW
    assert (
        "a build step ran at 2025-11-25T14:05:22+00:00 or earlier; Docker 29.8.2"
        in finding.evidence
    )


def test_a_deployment_alone_may_build_or_not_and_is_only_noted() -> None:
    finding = builds(*running("x8s0", HELPER))

    assert finding is not None
    assert finding.severity is Severity.INFO


@pytest.mark.parametrize("is_build", [True, False], ids=["build-node", "control-host"])
def test_builds_where_no_stranger_runs_anything_are_only_noted(is_build: bool) -> None:
    finding = builds(CACHE, settings=NO_GVISOR, builds=is_build)

    assert finding is not None
    assert finding.severity is Severity.INFO


def test_a_build_node_that_runs_apps_is_told_to_be_both() -> None:
    finding = builds(CACHE, builds=True)

    assert finding is not None
    assert finding.severity is Severity.MEDIUM
    assert finding.evidence.endswith("the node is in group build and also has runtimes for apps")


def test_builds_that_must_stay_are_waived_with_a_reason() -> None:
    reason = "until the build server is there"

    report = audited(CACHE, settings={"gvisor_waivers": {"builds-unsandboxed": reason}})

    assert found(report) == {}
    assert report.state == "clean"


def test_a_cache_that_docker_does_not_tell_is_no_empty_one() -> None:
    report = audited("build_error no answer within 10 s")

    finding = found(report)["builds-unknown image builds"]
    assert (finding.severity, finding.evidence) == (Severity.LOW, "no answer within 10 s")
