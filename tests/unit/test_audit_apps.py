"""What Coolify was told to ask for, held against what its containers got."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.coolify.declared_apps import DeclaredApp, DeclaredApps
from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.report.document import HostReport
from tests.unit.audited import COOLIFY, app, audited, found, ids, with_container
from tests.unit.coolify_answers import HONOURED, container, host, patched, persistent, php

UUID = "wkg0ok8s8k4wco04ws4gcw0c"
LABELS = {**COOLIFY, "coolify.applicationId": "7", "coolify.pullRequestId": "0"}
RUNC: dict[str, Any] = {"runtime": "runc", "executable": "/usr/bin/node", "argv0": "node"}


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
        pytest.param(RUNC, "runc and was not seen in gVisor", id="runc"),
        pytest.param(
            {**RUNC, "runtime": "runsc"}, "runsc and was not seen in gVisor", id="no-sandbox"
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
    sandboxed, bare = compared(apps), compared(apps, **RUNC)

    assert list(ids(sandboxed)) == []
    assert list(ids(bare)) == ["container-unsandboxed"]


def test_a_preview_gets_no_options_and_is_judged_by_what_it_is() -> None:
    labels = {**LABELS, "coolify.pullRequestId": "12"}

    report = compared(declared(), labels=labels, **RUNC)

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

    report = audited(*app(labels=LABELS, **RUNC).lines(), apps=apps)

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
