"""A restart goes through live-restore and back again, whatever the file says before and after."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest

from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.merge import Owned
from pyinfra_gvisor.daemon_json.plan import Restart, plan_daemon_json
from pyinfra_gvisor.daemon_json.transaction import transaction
from tests.unit.answers import LATER_S, RUNSC, after, info, node

PROXY_OFF: dict[str, Json] = {"userland-proxy": False}
LIVE: dict[str, Json] = {"live-restore": True}
NONE = {"on": None, "off": None, "old_on": None, "old_off": None}

CANNOT: list[Any] = [
    pytest.param({"docker": info(swarm="active")}, id="swarm"),
    pytest.param({"flags": ["--live-restore"], "docker": info(live_restore=True)}, id="flag"),
    pytest.param({"flags": ["--live-restore=false"]}, id="flag-off"),
]


def made(wanted: dict[str, Json], restart: Restart = "auto", **given: Any) -> str:
    """The transaction that brings ``wanted`` to a node."""
    found = node(**given)
    plan = plan_daemon_json(found, wanted, restart=restart)
    return transaction(plan, found, host="run-1", timeout_s=60, wait_s=300)


def texts(script: str) -> dict[str, str | None]:
    """The files that live-restore is switched on and off with; None where there is none."""
    found = dict(re.findall(r"^(\w+)_b64=(\S+)$", script, re.MULTILINE))
    return {name: None if found[name] == "-" else decoded(found[name]) for name in NONE}


def decoded(text: str) -> str:
    """What the node will decode."""
    return base64.b64decode(text).decode()


def test_a_new_file_without_live_restore_is_started_with_it_on_then_off() -> None:
    found = texts(made(PROXY_OFF, daemon_json='{"mtu": 1}'))

    assert found == {
        "on": '{"mtu": 1, "userland-proxy": false, "live-restore": true}',
        "off": '{"mtu": 1, "userland-proxy": false, "live-restore": false}',
        "old_on": '{"mtu": 1, "live-restore": true}',
        "old_off": '{"mtu": 1, "live-restore": false}',
    }


def test_where_there_was_no_file_going_back_still_goes_through_live_restore() -> None:
    found = texts(made(PROXY_OFF))

    assert found["old_on"] == '{\n    "live-restore": true\n}\n'
    assert found["old_off"] == '{\n    "live-restore": false\n}\n'


@pytest.mark.parametrize(
    ("wanted", "before", "there"),
    [
        pytest.param({**PROXY_OFF, **LIVE}, '{"mtu": 1}', {"old_on", "old_off"}, id="new-has-it"),
        pytest.param(
            {**PROXY_OFF, "live-restore": False},
            '{"live-restore": true}',
            {"on", "off"},
            id="old-has-it",
        ),
        pytest.param(PROXY_OFF, '{"live-restore": true}', set(), id="both-have-it"),
        pytest.param(
            {**PROXY_OFF, "live-restore": False},
            '{"live-restore": false}',
            {"on", "off", "old_on", "old_off"},
            id="both-have-it-off",
        ),
    ],
)
def test_a_file_that_has_live_restore_on_is_started_with_as_it_is(
    wanted: dict[str, Json], before: str, there: set[str]
) -> None:
    found = texts(made(wanted, daemon_json=before))

    assert {name for name, text in found.items() if text is not None} == there


@pytest.mark.parametrize(
    ("wanted", "restart"),
    [
        pytest.param({"runtimes": {"runsc": RUNSC}}, "auto", id="reload"),
        pytest.param(PROXY_OFF, "reload", id="restart-owed"),
    ],
)
def test_without_a_restart_only_the_way_back_may_need_one(
    wanted: dict[str, Json], restart: Restart
) -> None:
    found = texts(made(wanted, restart=restart))

    assert (found["on"], found["off"]) == (None, None)
    assert found["old_on"]
    assert found["old_off"]


@pytest.mark.parametrize("given", CANNOT)
def test_where_the_file_may_not_switch_it_live_restore_is_left_alone(given: dict[str, Any]) -> None:
    text = made(PROXY_OFF, daemon_json='{"mtu": 1}', **given)

    assert texts(text) == NONE
    assert "\ncan_live_restore=no\n" in text
    assert "\nlive_restore=''\n" in text


@pytest.mark.parametrize(
    ("wanted", "before", "expected"),
    [
        pytest.param(PROXY_OFF, None, "false", id="not-said"),
        pytest.param({**PROXY_OFF, **LIVE}, None, "true", id="on"),
        pytest.param(PROXY_OFF, '{"live-restore": true}', "true", id="somebody-elses"),
    ],
)
def test_after_a_restart_live_restore_is_what_the_file_says_and_off_where_it_says_nothing(
    wanted: dict[str, Json], before: str | None, expected: str
) -> None:
    text = made(wanted, daemon_json=before)

    assert f"\nlive_restore={expected}\n" in text
    assert "\ncan_live_restore=yes\n" in text


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        pytest.param({"userland-proxy": False}, "-", id="restart"),
        pytest.param(LIVE, '{\n    "live-restore": false\n}\n', id="reload"),
        pytest.param({**LIVE, **PROXY_OFF}, "-", id="restart-and-reload"),
    ],
)
def test_values_are_made_ineffective_first_only_for_a_reload(
    before: dict[str, Json], expected: str
) -> None:
    text = made({}, **after(plan_daemon_json(node(), before)))

    (found,) = re.findall(r"^neutral_b64=(\S+)$", text, re.MULTILINE)
    assert (found if found == "-" else decoded(found)) == expected


def intent(script: str) -> Owned:
    """What may be ours while the transaction is going on."""
    (found,) = re.findall(r"^intent_b64=(\S+)$", script, re.MULTILINE)
    return Owned.load(json.loads(decoded(found)))


@pytest.mark.parametrize(
    ("wanted", "before", "was"),
    [
        pytest.param(PROXY_OFF, None, None, id="restart"),
        pytest.param({"runtimes": {"runsc": RUNSC}}, None, None, id="going-back-may-restart"),
        pytest.param(PROXY_OFF, '{"live-restore": false}', "false", id="somebody-has-it-off"),
        pytest.param(LIVE, '{"live-restore" : false}', "false", id="wanted"),
    ],
)
def test_what_live_restore_is_switched_to_on_the_way_is_known_as_ours(
    wanted: dict[str, Json], before: str | None, was: str | None
) -> None:
    claim = intent(made(wanted, daemon_json=before))

    mine = claim.paths["/live-restore"]
    assert mine.has_written(value=True)
    assert mine.has_written(value=False)
    assert mine.before == was
    assert claim.unfinished


@pytest.mark.parametrize("given", CANNOT)
def test_where_it_is_not_switched_live_restore_is_not_claimed(given: dict[str, Any]) -> None:
    claim = intent(made(PROXY_OFF, **given))

    assert set(claim.paths) == {"/userland-proxy"}


@pytest.mark.parametrize("state", [pytest.param(name, id=name) for name in ("on", "off")])
def test_a_removal_after_a_change_that_died_on_the_way_gives_the_original_back(state: str) -> None:
    original = '{"mtu": 1}'
    script = made(PROXY_OFF, daemon_json=original)
    died = {"daemon_json": texts(script)[state], "mtime_s": LATER_S}
    record = intent(script).model_dump()

    removed = plan_daemon_json(node(**died, state={"owned": record}), {})

    assert removed.after == original
    assert removed.left == ()


def test_every_transaction_has_a_name_of_its_own() -> None:
    ids = [re.findall(r"^id=(\S+)$", made(LIVE), re.MULTILINE) for _ in range(2)]

    assert len(ids[0]) == len(ids[1]) == 1
    assert ids[0] != ids[1]
