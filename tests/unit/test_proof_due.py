"""When isolation has to be proven anew."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.profiles import Runtime
from pyinfra_gvisor.proof import verdict as proof
from pyinfra_gvisor.proof.verdict import fingerprint, is_due
from tests.unit.answers import RUNSC, Running, info, node

RELEASE = "20260928.0"
PROFILES = {"runsc": Runtime()}
GIVEN: dict[str, Any] = {
    "daemon_json": "{}",
    "wrappers": {RUNSC["path"]: "0" * 64},
    "docker": info(runtimes={"runsc": RUNSC}),
}
PROVEN = {"proof": {"fingerprint": fingerprint(node(**GIVEN), RELEASE, PROFILES)}}


def due(when: str = "changed", **changes: Any) -> bool:
    """Whether a node that was proven has to be proven anew after these changes."""
    return is_due(node(**{**GIVEN, "state": PROVEN, **changes}), RELEASE, PROFILES, when)


def test_a_node_as_last_proven_is_not_proven_anew() -> None:
    assert due() is False


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"state": {}}, id="never-proven"),
        pytest.param({"state": {"proof": {}}}, id="record-empty"),
        pytest.param({"state": {"proof": None}}, id="record-null"),
        pytest.param({"state": {"proof": []}}, id="record-a-list"),
        pytest.param({"state": {"proof": {"fingerprint": "0" * 64}}}, id="record-of-another-state"),
        pytest.param({"uname": "6.12.10+deb13-amd64 x86_64"}, id="kernel"),
        pytest.param({"docker": info(runtimes={"runsc": {"path": "/x"}})}, id="runtimes-path"),
        pytest.param({"docker": info()}, id="runtime-gone"),
        pytest.param(
            {"docker": {**GIVEN["docker"], "ServerVersion": "28.5.2"}}, id="docker-version"
        ),
        pytest.param({"daemon_json": '{"debug": true}'}, id="daemon-json"),
        pytest.param({"wrappers": {RUNSC["path"]: "1" * 64}}, id="wrappers-text"),
    ],
)
def test_what_could_change_the_outcome_makes_a_proof_due(changes: dict[str, Any]) -> None:
    assert due(**changes) is True


@pytest.mark.parametrize(
    ("release", "profiles"),
    [
        pytest.param("20260831.0", PROFILES, id="release"),
        pytest.param(RELEASE, {"runsc": Runtime(platform="kvm")}, id="profile"),
        pytest.param(RELEASE, {**PROFILES, "net": Runtime()}, id="one-runtime-more"),
    ],
)
def test_what_is_claimed_anew_is_proven_anew(release: str, profiles: dict[str, Runtime]) -> None:
    found = node(**GIVEN, state=PROVEN)

    assert is_due(found, release, profiles, "changed") is True


@pytest.mark.parametrize(
    ("before", "now"),
    [
        pytest.param(None, "shop:1", id="set"),
        pytest.param("shop:1", "shop:2", id="another"),
        pytest.param("shop:1", None, id="taken-away"),
    ],
)
def test_another_image_to_prove_with_makes_a_proof_due(before: str | None, now: str | None) -> None:
    digest = fingerprint(node(**GIVEN), RELEASE, PROFILES, image=before)
    found = node(**GIVEN, state={"proof": {"fingerprint": digest}})

    assert is_due(found, RELEASE, PROFILES, "changed", image=now) is True
    assert is_due(found, RELEASE, PROFILES, "changed", image=before) is False


def test_a_check_that_was_not_made_then_makes_a_proof_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "CHECKS", proof.CHECKS[1:])

    assert due() is True


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"containers": [Running("app")]}, id="a-container"),
        pytest.param({"ticks": 9_999}, id="dockerd-restarted"),
        pytest.param(
            {"docker": info(runtimes={"runsc": RUNSC, "kata": {"path": "/x"}})},
            id="anothers-runtime",
        ),
    ],
)
def test_what_cannot_change_the_outcome_makes_no_proof_due(changes: dict[str, Any]) -> None:
    assert due(**changes) is False


@pytest.mark.parametrize(
    ("when", "changes", "expected"),
    [
        pytest.param("always", {}, True, id="always"),
        pytest.param("never", {"state": {}}, False, id="never"),
    ],
)
def test_an_operator_can_ask_for_a_proof_always_or_never(
    when: str, changes: dict[str, Any], expected: bool
) -> None:
    assert due(when, **changes) is expected


def test_without_runtimes_there_is_nothing_to_prove() -> None:
    assert is_due(node(), RELEASE, {}, "always") is False


def test_a_node_whose_docker_is_down_was_never_proven() -> None:
    down = node(without=("info",), state={"proof": {"fingerprint": ""}})

    assert is_due(down, RELEASE, PROFILES, "changed") is True
