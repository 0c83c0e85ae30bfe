"""Who must be in a sandbox: selectors, exemptions, and what may be set about them."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.policy.selectors import (
    COOLIFY,
    Exemption,
    Selector,
    exempted,
    label_names,
    must_be_sandboxed,
)
from pyinfra_gvisor.settings import load_settings


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
    assert label_names((COOLIFY, Selector(labels={"x": "1"}), Selector(name="y"))) == (
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
