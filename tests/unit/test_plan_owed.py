"""A run that died in the middle is finished by the next one, wherever it died."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.keys import Force
from pyinfra_gvisor.daemon_json.plan import Plan, plan_daemon_json
from tests.unit.answers import LATER_S, RUNSC, after, info, node, records

ORIGINAL = '{\n  "dns": ["1.1.1.1"]\n}\n'
EVERYTHING: dict[str, Json] = {
    "live-restore": True,
    "userland-proxy": False,
    "runtimes": {"runsc": RUNSC},
}


def died(plan: Plan, before: dict[str, Any], text: str | None) -> dict[str, Any]:
    """The node when the script was killed after it had written down its intent, and ``text``."""
    intent = records(plan, node(**before))["intent"]
    state = {**before.get("state", {}), "owned": intent}
    return {**before, "daemon_json": text, "mtime_s": LATER_S, "state": state}


def test_an_installation_that_died_before_its_restart_is_restarted() -> None:
    before = {"daemon_json": ORIGINAL}
    plan = plan_daemon_json(node(**before), EVERYTHING)
    left = node(**died(plan, before, plan.after))

    again = plan_daemon_json(left, EVERYTHING)

    assert again.action is Force.RESTART
    assert again.after == plan.after


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param({"live-restore": True}, id="live-restore"),
        pytest.param({"runtimes": {"runsc": RUNSC}}, id="runtimes"),
        pytest.param({"registry-mirrors": ["https://mirror.example"]}, id="registry-mirrors"),
        pytest.param({"labels": ["a=b"]}, id="labels"),
        pytest.param({"debug": True}, id="debug"),
    ],
)
def test_an_installation_that_died_before_its_reload_is_reloaded(wanted: dict[str, Json]) -> None:
    before = after(plan_daemon_json(node(daemon_json=ORIGINAL), {"shutdown-timeout": 20}))
    plan = plan_daemon_json(node(**before), {"shutdown-timeout": 20, **wanted})
    left = node(**died(plan, before, plan.after))

    again = plan_daemon_json(left, {"shutdown-timeout": 20, **wanted})

    assert again.action is Force.RELOAD


def test_an_installation_that_died_before_it_wrote_the_file_begins_anew() -> None:
    before = {"daemon_json": ORIGINAL}
    plan = plan_daemon_json(node(**before), EVERYTHING)
    left = node(**died(plan, before, ORIGINAL))

    again = plan_daemon_json(left, EVERYTHING)

    assert again.after == plan.after
    assert again.action is Force.RESTART
    assert again.owned.original == ORIGINAL


def test_the_original_comes_back_after_an_installation_that_died() -> None:
    before = {"daemon_json": ORIGINAL}
    plan = plan_daemon_json(node(**before), EVERYTHING)
    left = node(**died(plan, before, plan.after))
    again = plan_daemon_json(left, EVERYTHING)

    removed = plan_daemon_json(node(**after(again)), {})

    assert removed.after == ORIGINAL


def test_a_runtime_whose_removal_died_before_its_reload_is_unregistered() -> None:
    both = {"runtimes": {"runsc": RUNSC, "net": {"path": "/opt/net"}}}
    before = after(plan_daemon_json(node(daemon_json=ORIGINAL), both))
    plan = plan_daemon_json(node(**before), {"runtimes": {"runsc": RUNSC}})
    left = node(**died(plan, before, plan.after))

    again = plan_daemon_json(left, {"runtimes": {"runsc": RUNSC}})

    assert plan.neutral is None
    assert again.after == plan.after
    assert again.action is Force.RELOAD


def test_a_removal_that_died_at_the_neutral_values_still_gives_the_original_back() -> None:
    before = after(plan_daemon_json(node(daemon_json=ORIGINAL), {"live-restore": True}))
    plan = plan_daemon_json(node(**before), {})
    given = died(plan, before, plan.neutral)
    left = node(**{**given, "docker": info(live_restore=False)})

    again = plan_daemon_json(left, {})

    assert plan.neutral is not None
    assert again.after == ORIGINAL


@pytest.mark.parametrize(
    ("version", "neutral"),
    [
        pytest.param("29.9.0", [], id="no-registries"),
        pytest.param("29.10.0", ["127.0.0.0/8", "::1/128"], id="default-registries"),
    ],
)
def test_a_removal_that_died_at_the_neutral_registries_still_gives_the_original_back(
    version: str, neutral: Json
) -> None:
    docker = info(ServerVersion=version)
    before = after(plan_daemon_json(node(daemon_json=ORIGINAL), {"insecure-registries": ["x:1"]}))
    plan = plan_daemon_json(node(**{**before, "docker": docker}), {})
    given = died(plan, before, plan.neutral)

    again = plan_daemon_json(node(**{**given, "docker": docker}), {})

    assert json.loads(plan.neutral or "")["insecure-registries"] == neutral
    assert again.after == ORIGINAL


def test_an_installation_on_a_daemon_that_somebody_restarted_meanwhile_owes_nothing() -> None:
    before = {"daemon_json": ORIGINAL}
    plan = plan_daemon_json(node(**before), EVERYTHING)
    given = died(plan, before, plan.after)
    docker = info(live_restore=True, runtimes={"runsc": RUNSC})
    left = node(**{**given, "docker": docker, "ticks": 60_000})

    again = plan_daemon_json(left, EVERYTHING)

    assert again.action is Force.NOTHING
    assert again.after == plan.after


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(None, id="null"),
        pytest.param([], id="a-list"),
        pytest.param("x", id="text"),
        pytest.param({"dockerd": 3, "started_with": "x"}, id="wrong-types"),
    ],
)
def test_a_damaged_record_of_what_was_applied_counts_as_none(record: object) -> None:
    found = node(daemon_json="{}", state={"applied": record})

    plan = plan_daemon_json(found, {"userland-proxy": False})

    assert plan.action is Force.RESTART


@pytest.mark.parametrize(
    "original",
    [
        pytest.param(ORIGINAL, id="usual"),
        pytest.param("{ }\n", id="nothing-but-white-space"),
        pytest.param('{"runtimes": {\n}, "dns": []}', id="an-empty-object"),
    ],
)
@pytest.mark.parametrize(
    "written", [pytest.param(True, id="file"), pytest.param(False, id="no-file")]
)
def test_the_original_comes_back_to_the_byte_wherever_the_installation_died(
    original: str, written: bool
) -> None:
    before = {"daemon_json": original}
    plan = plan_daemon_json(node(**before), EVERYTHING)
    left = node(**died(plan, before, plan.after if written else original))
    again = plan_daemon_json(left, EVERYTHING)

    removed = plan_daemon_json(node(**after(again)), {})

    assert removed.after == original


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param({}, ORIGINAL, id="removed"),
        pytest.param({"runtimes": {"runsc": RUNSC}}, None, id="wanted-still"),
    ],
)
def test_a_change_that_died_before_it_wrote_the_file_leaves_the_old_value_ours(
    wanted: dict[str, Json], expected: str | None
) -> None:
    older: dict[str, Json] = {"runtimes": {"runsc": {"path": "/opt/older"}}}
    before = after(plan_daemon_json(node(daemon_json=ORIGINAL), older))
    plan = plan_daemon_json(node(**before), {"runtimes": {"runsc": RUNSC}})
    left = node(**died(plan, before, before["daemon_json"]))

    again = plan_daemon_json(left, wanted)

    assert again.after == (plan.after if expected is None else expected)
    assert (again.drifted, again.left) == ((), ())
