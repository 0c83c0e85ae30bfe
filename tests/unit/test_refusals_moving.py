"""What running containers live in is not moved away under them."""

from __future__ import annotations

import json

import pytest

from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.json_text import Json
from pyinfra_gvisor.plan import Restart, plan_daemon_json
from pyinfra_gvisor.refusals import CONTAINERS_HOME, refuse_moving
from tests.unit.answers import Running, after, node

MOVED: dict[str, Json] = {"data-root": "/srv/docker"}
BUSY = [Running("app"), Running("job")]


@pytest.mark.parametrize("key", [pytest.param(key, id=key) for key in sorted(CONTAINERS_HOME)])
def test_a_new_home_is_refused_by_the_names_of_those_who_live_in_the_old_one(key: str) -> None:
    found = node(containers=BUSY)

    with pytest.raises(Problem, match=f"^/{key} would take .*, got app, job; "):
        refuse_moving(found, {"dns": []}, {"dns": [], key: "other"})
    refuse_moving(found, {key: "other"}, {"dns": [], key: "other"})


def test_the_refusal_says_who_lives_there_and_what_to_do() -> None:
    with pytest.raises(
        Problem, match=r"^/data-root would take .*, got app, job; leave it, or stop"
    ):
        plan_daemon_json(node(containers=BUSY), MOVED)


def test_going_back_to_the_old_home_is_a_move_too() -> None:
    given = after(plan_daemon_json(node(), MOVED))

    with pytest.raises(Problem, match=r"^/data-root would take the files"):
        plan_daemon_json(node(**given, containers=BUSY), {})


@pytest.mark.parametrize(
    ("containers", "before", "restart"),
    [
        pytest.param([], {}, "auto", id="nobody-lives-there"),
        pytest.param(BUSY, MOVED, "auto", id="it-is-there-already"),
        pytest.param(BUSY, {}, "reload", id="left-owed"),
    ],
)
def test_a_home_that_does_not_change_under_anybody_is_not_refused(
    containers: list[Running], before: dict[str, Json], restart: Restart
) -> None:
    found = node(containers=containers, daemon_json=json.dumps(before))

    plan = plan_daemon_json(found, MOVED, restart=restart)

    assert plan.changes
