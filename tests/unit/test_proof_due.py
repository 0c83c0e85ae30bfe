"""When isolation has to be proven anew."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.parts.egress.settings import Egress
from pyinfra_gvisor.parts.egress.state import EgressState
from pyinfra_gvisor.proof import verdict as proof
from pyinfra_gvisor.proof.verdict import fingerprint, is_due
from pyinfra_gvisor.runtimes.profiles import Runtime
from tests.unit.answers import RUNSC, Running, info, node
from tests.unit.egress_states import declaring

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
    found = node(**{**GIVEN, "state": PROVEN, **changes})
    return is_due(found, PROFILES, when, fingerprint(found, RELEASE, PROFILES))


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

    assert is_due(found, profiles, "changed", fingerprint(found, release, profiles)) is True


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

    later = fingerprint(found, RELEASE, PROFILES, image=now)
    assert is_due(found, PROFILES, "changed", later) is True
    assert is_due(found, PROFILES, "changed", digest) is False


def firewalled(**changes: Any) -> str | None:
    """What a proof of a node with a firewall would be known by."""
    declared = changes.pop("declared", Egress())
    loaded = {"now": "a" * 64, "as_loaded": "a" * 64, "loaded_from": "b" * 64, **changes}
    found = node(**GIVEN).model_copy(update={"parts": {"egress": EgressState(**loaded)}})
    return fingerprint(found, RELEASE, PROFILES, declared=declaring(declared))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"declared": None}, id="taken-away"),
        pytest.param({"declared": Egress(block=("metadata",))}, id="declared-otherwise"),
        pytest.param({"loaded_from": "c" * 64}, id="loaded-from-other-rules"),
        pytest.param({"now": "c" * 64}, id="changed-in-the-kernel"),
        pytest.param({"now": None}, id="gone"),
    ],
)
def test_another_firewall_makes_a_proof_due(changes: dict[str, Any]) -> None:
    assert firewalled(**changes) != firewalled()


def test_rules_that_nobody_declares_make_no_proof_due() -> None:
    assert firewalled(declared=None) == PROVEN["proof"]["fingerprint"]


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
    assert is_due(node(), {}, "always", fingerprint(node(), RELEASE, {})) is False


def test_a_node_whose_docker_is_down_was_never_proven() -> None:
    down = node(without=("info",), state={"proof": {"fingerprint": ""}})

    digest = fingerprint(down, RELEASE, PROFILES)
    assert digest is None
    assert is_due(down, PROFILES, "changed", digest) is True
