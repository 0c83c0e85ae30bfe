"""Two hosts of one name: pyinfra would use the last one, and say that all is well."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.preflight.names import refuse_same_names

ONE, OTHER = {"ssh_hostname": "10.0.0.1"}, {"ssh_hostname": "10.0.0.2"}


@pytest.mark.parametrize(
    "groups",
    [
        pytest.param({"run": [("web", ONE), ("web", OTHER)]}, id="one-list"),
        pytest.param({"run": [("web", ONE)], "build": [("web", OTHER)]}, id="two-lists"),
        pytest.param({"run": ["web", ("web", ONE)]}, id="with-data-and-without"),
        pytest.param({"run": [("web", ONE), "other", ("web", {})]}, id="empty-data"),
        pytest.param({"all": ["web"], "a": [("web", ONE)], "b": [("web", OTHER)]}, id="all"),
    ],
)
def test_two_hosts_of_one_name_are_refused(groups: dict[str, Any]) -> None:
    with pytest.raises(Problem, match="two hosts called web: ssh_hostname differs"):
        refuse_same_names(groups)


@pytest.mark.parametrize(
    "groups",
    [
        pytest.param({"canary": [("web", ONE)], "run": [("web", ONE)]}, id="canary-is-run-too"),
        pytest.param({"canary": ["web"], "run": [("web", ONE)]}, id="data-in-one-of-them"),
        pytest.param({"a": [("web", ONE)], "b": [("web", {"_sudo": True})]}, id="more-data"),
        pytest.param({"run": ["web", "web", "web-2"]}, id="the-same-twice"),
    ],
)
def test_one_host_in_several_lists_is_one_host(groups: dict[str, Any]) -> None:
    refuse_same_names(groups)


def test_a_password_that_differs_is_not_shown() -> None:
    entries = [("web", {"ssh_password": "hunter2"}), ("web", {"ssh_password": "other"})]

    with pytest.raises(Problem, match=r"ssh_password differs \(list run\), got \*\*\*") as refused:
        refuse_same_names({"run": entries})

    assert "hunter2" not in str(refused.value)
