"""Which steps a node needs beside those of every node."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.preflight.steps import needs_collection, needs_engine, needs_trial
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.runtimes.wrappers import wrappers
from tests.cases.proven import RELEASE, proven
from tests.unit.answers import node

PROFILES = {"runsc": Runtime()}
OLDER = "20260817.0"


def test_docker_is_a_step_only_where_it_is_missing_or_a_change_was_interrupted() -> None:
    assert not needs_engine(node())
    assert needs_engine(node(without=("info",)))
    assert needs_engine(node(pending=""))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({}, False, id="plain"),
        pytest.param(proven(), False, id="as-declared"),
        pytest.param({"pending": ""}, True, id="interrupted"),
        pytest.param({"without": ("info",)}, False, id="without-docker"),
        pytest.param({"without": ("info",), "daemon_json": "{}"}, True, id="docker-to-come"),
    ],
)
def test_a_release_is_tried_only_where_a_runtime_may_be_switched(
    given: dict[str, Any], expected: bool
) -> None:
    assert needs_trial(node(**given), RELEASE, PROFILES) is expected


def test_a_runtime_of_another_release_is_switched_and_so_tried() -> None:
    assert needs_trial(node(**proven()), OLDER, PROFILES)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({}, False, id="plain"),
        pytest.param(proven(), False, id="as-declared"),
        pytest.param({"releases": [OLDER]}, True, id="old-release"),
        pytest.param(
            {"wrappers": {item.path: item.sha256 for item in wrappers(OLDER, PROFILES)}},
            True,
            id="wrapper-of-no-release",
        ),
    ],
)
def test_releases_are_removed_only_where_there_is_another_one(
    given: dict[str, Any], expected: bool
) -> None:
    assert needs_collection(node(**given), RELEASE) is expected
