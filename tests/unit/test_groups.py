"""Which groups of an inventory tell what a host is, and which look as if they were meant to."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.groups import refuse_groups


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        pytest.param(["cooolify"], "got cooolify; did you mean coolify?", id="mistyped"),
        pytest.param(["Coolify"], "got Coolify; did you mean coolify?", id="case"),
        pytest.param(["run", "biuld"], "did you mean build?", id="beside-a-known-one"),
        pytest.param(["builder"], "did you mean build?", id="longer"),
        pytest.param(["runs"], "did you mean run?", id="plural"),
    ],
)
@pytest.mark.parametrize("declared", [True, False])
def test_a_group_that_looks_like_a_known_one_is_refused(
    groups: list[str], said: str, declared: bool
) -> None:
    with pytest.raises(Problem) as refused:
        refuse_groups(groups, declared=declared)

    assert said in str(refused.value)


def test_a_host_of_unknown_groups_for_which_nothing_is_declared_is_refused() -> None:
    with pytest.raises(
        Problem, match=r"none of the groups run, build and coolify.*got eu, factory"
    ):
        refuse_groups(["eu", "factory"], declared=False)


@pytest.mark.parametrize(
    ("groups", "declared"),
    [
        pytest.param([], False, id="named-on-the-command-line"),
        pytest.param(["run"], False, id="known"),
        pytest.param(["run", "canary", "eu", "run2"], False, id="own-ones-beside-a-known-one"),
        pytest.param(["coolify", "coolify_eu"], False, id="one-like-its-own"),
        pytest.param(["eu", "trunk", "run_eu", "runsc", "local", "lab"], True, id="own-ones"),
    ],
)
def test_groups_of_peoples_own_stay_possible(groups: list[str], declared: bool) -> None:
    refuse_groups(groups, declared=declared)
