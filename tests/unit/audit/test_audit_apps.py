"""Who must be in a sandbox, what Coolify was told to ask for, and who builds images beside apps."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.coolify.declared_apps import DeclaredApp, DeclaredApps
from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.policy.selectors import (
    COOLIFY as COOLIFY_APPS,
)
from pyinfra_gvisor.policy.selectors import (
    Exemption,
    Selector,
    exempted,
    label_names,
    must_be_sandboxed,
)
from pyinfra_gvisor.report.document import HostReport
from pyinfra_gvisor.settings import load_settings
from tests.unit.answers import Running
from tests.unit.audit.audited import BARE, COOLIFY, app, audited, found, ids, with_container
from tests.unit.coolify.coolify_answers import HONOURED, container, host, patched, persistent, php


@pytest.mark.parametrize(
    ("selector", "name", "labels", "expected"),
    [
        pytest.param({"name": "shop-*"}, "shop-1", {}, True, id="pattern"),
        pytest.param({"name": "shop-*"}, "shop", {}, False, id="not-the-pattern"),
        pytest.param({"name": "shop"}, "SHOP", {}, False, id="case"),
        pytest.param({"labels": {"a": "1"}}, "x", {"a": "1", "b": "2"}, True, id="label"),
        pytest.param({"labels": {"a": "1"}}, "x", {"a": "2"}, False, id="another-value"),
        pytest.param({"labels": {"a": "1"}}, "x", {}, False, id="no-label"),
        pytest.param({"labels": {"a": ["1", "2"]}}, "x", {"a": "2"}, True, id="one-of"),
        pytest.param({"labels": {"a": "1", "b": "2"}}, "x", {"a": "1"}, False, id="all-labels"),
        pytest.param({"labels": {"a": ""}}, "x", {"a": ""}, True, id="empty-value"),
        pytest.param({"labels": {"a": ""}}, "x", {}, False, id="empty-is-not-missing"),
        pytest.param({"labels": {"a": "1"}, "name": "y"}, "x", {"a": "1"}, False, id="both"),
    ],
)
def test_a_selector_matches_by_all_that_it_names(
    selector: dict[str, Any], name: str, labels: dict[str, str], expected: bool
) -> None:
    assert Selector.model_validate(selector).matches(name, labels) is expected


def test_any_selector_is_enough_and_the_first_exemption_tells_why() -> None:
    must = (Selector(name="a"), Selector(name="b"))
    exempt = (Exemption(name="b", reason="the first reason"), Exemption(name="*", reason="x" * 10))

    assert must_be_sandboxed(must, "b", {})
    assert not must_be_sandboxed(must, "c", {})
    assert exempted(exempt, "b", {}) == "the first reason"
    assert exempted((), "b", {}) is None


def test_only_the_labels_that_decide_are_asked_for() -> None:
    assert label_names((COOLIFY_APPS, Selector(labels={"x": "1"}), Selector(name="y"))) == (
        "coolify.managed",
        "coolify.type",
        "x",
    )


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        pytest.param("must_sandbox", [{}], "neither labels nor a name is given", id="nothing"),
        pytest.param("must_sandbox", "all", "got all", id="a-word"),
        pytest.param("exempt", [{"name": "x"}], "['reason'] field required", id="no-reason"),
        pytest.param("exempt", [{"name": "x", "reason": "short"}], "10 characters", id="short"),
        pytest.param("exempt", [{"nam": "x", "reason": "x" * 10}], "unknown key", id="misspelt"),
        pytest.param("waivers", {"2.9": "no"}, "10 characters", id="a-short-waiver"),
        pytest.param("audit_fail_on", "hgih", "got hgih", id="no-severity"),
        pytest.param("report_dir", "", "at least 1 character", id="no-directory"),
        pytest.param("textfile_dir", "relative", "got relative", id="relative"),
        pytest.param("watch", "yes", "got yes", id="no-bool"),
        pytest.param("watch_interval_s", 1, "greater than or equal to 10", id="too-often"),
        pytest.param("watch_action", "kill", "got kill", id="no-action"),
    ],
)
def test_what_makes_no_policy_is_told(key: str, value: Any, says: str) -> None:
    settings, problems = load_settings({f"gvisor_{key}": value})

    assert settings is None
    assert says in problems[f"gvisor_{key}"]


UUID = "wkg0ok8s8k4wco04ws4gcw0c"
LABELS = {**COOLIFY, "coolify.applicationId": "7", "coolify.pullRequestId": "0"}


def declared(runtime: str | None = "runsc", *, by_options: bool = True) -> DeclaredApps:
    """A Coolify with one app, whose number is 7."""
    return DeclaredApps({"7": DeclaredApp(UUID, "shop", runtime, by_options)})


def compared(apps: DeclaredApps | None, **container: Any) -> HostReport:
    """The report on a node on which a container of that app runs."""
    return with_container(app(**{"labels": LABELS, **container}), apps)


def test_an_app_whose_container_is_what_it_asks_for_has_nothing_against_it() -> None:
    report = compared(declared())

    assert found(report) == {}


@pytest.mark.parametrize(
    ("container", "said"),
    [
        pytest.param(BARE, "runc and was not seen in gVisor", id="runc"),
        pytest.param(
            {**BARE, "runtime": "runsc"}, "runsc and was not seen in gVisor", id="no-sandbox"
        ),
        pytest.param({"runtime": "gvisor"}, "gvisor and was not seen in gVisor", id="another-one"),
    ],
)
def test_an_app_that_did_not_get_what_it_asks_for_is_found(
    container: dict[str, Any], said: str
) -> None:
    report = compared(declared(), **container)

    finding = found(report)["app-option-not-in-force shop"]
    assert finding.severity is Severity.HIGH
    assert finding.evidence == (
        f"Coolify's app shop ({UUID}) has --runtime=runsc; its container has {said}"
    )
    assert not report.compliant


def test_a_sandbox_that_the_next_deployment_would_lose_is_found() -> None:
    report = compared(declared(None))

    finding = found(report)["app-option-missing shop"]
    assert finding.evidence == f"Coolify's app shop ({UUID}) has no --runtime"
    assert not report.compliant


@pytest.mark.parametrize(
    "apps",
    [
        pytest.param(None, id="coolify-is-not-asked"),
        pytest.param(declared(by_options=False), id="its-compose-file-says-it"),
        pytest.param(declared(None, by_options=False), id="its-compose-file-asks"),
    ],
)
def test_what_options_do_not_reach_is_not_compared(apps: DeclaredApps | None) -> None:
    sandboxed, bare = compared(apps), compared(apps, **BARE)

    assert list(ids(sandboxed)) == []
    assert list(ids(bare)) == ["container-unsandboxed"]


def test_a_preview_gets_no_options_and_is_judged_by_what_it_is() -> None:
    labels = {**LABELS, "coolify.pullRequestId": "12"}

    report = compared(declared(), labels=labels, **BARE)

    assert list(ids(report)) == ["container-unsandboxed"]


def test_a_label_that_coolify_does_not_know_is_noted() -> None:
    report = compared(DeclaredApps())

    finding = found(report)["app-unknown shop"]
    assert (finding.severity, report.compliant) == (Severity.LOW, True)
    assert finding.evidence == "label coolify.applicationId=7"


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param(COOLIFY, id="without-a-number"),
        pytest.param({"coolify.proxy": "true"}, id="the-proxy"),
    ],
)
def test_a_container_of_no_app_is_not_compared(labels: dict[str, str]) -> None:
    report = compared(declared(), labels=labels)

    assert not [rule for rule in ids(report) if rule.startswith("app")]


def test_a_coolify_that_does_not_answer_fails_the_audit_and_hides_nothing() -> None:
    apps = DeclaredApps(error="GET /applications: the token is refused")

    report = audited(*app(labels=LABELS, **BARE).lines(), apps=apps)

    assert found(report)["apps-not-compared Coolify's API"].evidence == apps.error
    assert "container-unsandboxed" in ids(report)
    assert "app-unknown" not in ids(report)


@pytest.mark.parametrize(
    ("lines", "rules"),
    [
        pytest.param([*persistent(), *patched()], [], id="as-declared"),
        pytest.param([container(), *php("native", probe=HONOURED)], [], id="coolify-knows-it"),
        pytest.param([*persistent(), *php()], ["coolify-drops-option"], id="the-patch-is-lost"),
        pytest.param([container(), *patched()], ["coolify-not-kept"], id="only-patched"),
        pytest.param(
            [*persistent(), *php("damaged", "reason two returns", probe=None)],
            ["coolify-drops-option"],
            id="another-source",
        ),
        pytest.param([], ["coolify-drops-option", "coolify-not-kept"], id="no-coolify"),
    ],
)
def test_a_control_host_that_would_lose_the_option_is_found(
    lines: list[str], rules: list[str]
) -> None:
    report = audited(control=host(*lines))

    assert sorted(ids(report)) == rules
    assert report.compliant is not bool(rules)


def test_a_control_host_that_is_not_to_honour_it_is_left_alone() -> None:
    report = audited(control=host(container(), *php()), settings={"gvisor_coolify": False})

    assert list(ids(report)) == []


CACHE = "build_cache 18 2026-11-25T14:05:19Z"
HELPER = "ghcr.io/coollabsio/coolify-helper:1.0.12"
BUILDER = "moby/buildkit:buildx-stable-1"
NO_GVISOR: dict[str, Any] = {"settings": {"gvisor_runtimes": {}}}


def running(name: str, image: str) -> list[str]:
    """The lines for a container of this image that nobody has a policy for."""
    return Running(name, given={"Image": image}).lines()


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


CACHED = "18 records in Docker's build cache, last used 2026-11-25T14:05:19Z"
DEPLOYING = f"a Coolify deployment is running: x8s0 ({HELPER})"


@pytest.mark.parametrize(
    ("lines", "given", "severity", "evidence"),
    [
        pytest.param([CACHE], {}, Severity.MEDIUM, CACHED, id="a-cache"),
        pytest.param(
            ["build_cache 1 "],
            {},
            Severity.MEDIUM,
            "1 records in Docker's build cache",
            id="never-used",
        ),
        pytest.param(
            running("buildx_buildkit_rail0", BUILDER),
            {},
            Severity.MEDIUM,
            f"buildx_buildkit_rail0 ({BUILDER})",
            id="a-builder-of-its-own",
        ),
        pytest.param(
            [CACHE, *running("x8s0", HELPER)],
            {},
            Severity.MEDIUM,
            f"{CACHED}; {DEPLOYING}",
            id="a-cache-and-a-deployment",
        ),
        pytest.param(running("x8s0", HELPER), {}, Severity.INFO, DEPLOYING, id="may-not-build"),
        pytest.param([CACHE], NO_GVISOR, Severity.INFO, CACHED, id="a-control-host"),
        pytest.param(
            [CACHE], {**NO_GVISOR, "builds": True}, Severity.INFO, CACHED, id="a-build-node"
        ),
        pytest.param(
            [CACHE],
            {"builds": True},
            Severity.MEDIUM,
            f"{CACHED}; the node is in group build and also has runtimes for apps",
            id="a-build-node-that-runs-apps",
        ),
        pytest.param(
            ["build_ran 1764079522"],
            {},
            Severity.LOW,
            "a build step ran at 2025-11-25T14:05:22+00:00 or earlier; Docker 29.8.2",
            id="a-docker-that-does-not-tell-its-cache",
        ),
    ],
)
def test_builds_are_told_with_what_was_seen(
    lines: list[str], given: dict[str, Any], severity: Severity, evidence: str
) -> None:
    finding = found(audited(*lines, **given))["builds-unsandboxed image builds"]

    assert finding.severity is severity
    assert finding.evidence.startswith(evidence)
    assert "docker builder prune -a" in finding.remedy


def test_builds_that_must_stay_are_waived_with_a_reason() -> None:
    reason = "until the build server is there"

    report = audited(CACHE, settings={"gvisor_waivers": {"builds-unsandboxed": reason}})

    assert found(report) == {}
    assert report.state == "clean"


def test_a_cache_that_docker_does_not_tell_is_no_empty_one() -> None:
    report = audited("build_error no answer within 10 s")

    finding = found(report)["builds-unknown image builds"]
    assert (finding.severity, finding.evidence) == (Severity.LOW, "no answer within 10 s")
