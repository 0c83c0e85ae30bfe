"""What is owed: by a run that died in the middle, and by a restart that may not be made."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.keys import Force
from pyinfra_gvisor.daemon_json.plan import Plan, Restart, plan_daemon_json
from tests.table import table
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


@table(
    "wanted",
    {
        "live-restore": {"live-restore": True},
        "runtimes": {"runtimes": {"runsc": RUNSC}},
        "registry-mirrors": {"registry-mirrors": ["https://mirror.example"]},
        "labels": {"labels": ["a=b"]},
        "debug": {"debug": True},
    },
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


@table(
    "version, neutral",
    {
        "no-registries": ("29.9.0", []),
        "default-registries": ("29.10.0", ["127.0.0.0/8", "::1/128"]),
    },
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


@table(
    "record",
    {"null": None, "a-list": [], "text": "x", "wrong-types": {"dockerd": 3, "started_with": "x"}},
)
def test_a_damaged_record_of_what_was_applied_counts_as_none(record: object) -> None:
    found = node(daemon_json="{}", state={"applied": record})

    plan = plan_daemon_json(found, {"userland-proxy": False})

    assert plan.action is Force.RESTART


@table(
    "original",
    {
        "usual": ORIGINAL,
        "nothing-but-white-space": "{ }\n",
        "an-empty-object": '{"runtimes": {\n}, "dns": []}',
    },
)
@table("written", {"file": True, "no-file": False})
def test_the_original_comes_back_to_the_byte_wherever_the_installation_died(
    original: str, written: bool
) -> None:
    before = {"daemon_json": original}
    plan = plan_daemon_json(node(**before), EVERYTHING)
    left = node(**died(plan, before, plan.after if written else original))
    again = plan_daemon_json(left, EVERYTHING)

    removed = plan_daemon_json(node(**after(again)), {})

    assert removed.after == original


@table(
    "wanted, expected",
    {"removed": ({}, ORIGINAL), "wanted-still": ({"runtimes": {"runsc": RUNSC}}, None)},
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


PROXY_OFF: dict[str, Json] = {"userland-proxy": False}
LIVE: dict[str, Json] = {"live-restore": True}
SWARM: dict[str, Json] = {"LocalNodeState": "active"}
BOTH: dict[str, Json] = {**PROXY_OFF, **LIVE}
POLICIES = [pytest.param(name, id=name) for name in ("auto", "reload", "never")]


@table(
    "wanted, restart, force, owed",
    {
        "restarted": (PROXY_OFF, "auto", Force.RESTART, ()),
        "owed": (PROXY_OFF, "reload", Force.NOTHING, ("/userland-proxy",)),
        "both-restarted": (BOTH, "auto", Force.RESTART, ()),
        "reloaded-and-owed": (BOTH, "reload", Force.RELOAD, ("/userland-proxy",)),
        "nothing-owed": (LIVE, "reload", Force.RELOAD, ()),
        "a-reload-is-no-restart": (LIVE, "never", Force.RELOAD, ()),
    },
)
def test_a_restart_is_made_or_owed_as_the_policy_says(
    wanted: dict[str, Json], restart: Restart, force: Force, owed: tuple[str, ...]
) -> None:
    plan = plan_daemon_json(node(), wanted, restart=restart)

    assert plan.action is force
    assert plan.unapplied == owed
    assert plan.changes


@table(
    "given, restart, force",
    {
        "restarted": ({}, "auto", Force.RESTART),
        "reload-only": ({}, "reload", Force.RELOAD),
        "never": ({}, "never", Force.RELOAD),
        "in-a-swarm": ({"Swarm": SWARM}, "auto", Force.RELOAD),
    },
)
def test_a_docker_that_loses_something_at_a_reload_is_restarted_where_that_ends_nothing(
    given: dict[str, Json], restart: Restart, force: Force
) -> None:
    found = node(docker=info(ServerVersion="28.5.2", **given))

    plan = plan_daemon_json(found, {"debug": True}, restart=restart)

    assert plan.action is force
    assert plan_daemon_json(found, {}, restart=restart).action is Force.NOTHING


def test_what_needs_a_restart_is_refused_where_none_is_allowed() -> None:
    message = (
        r"^the change needs a restart of dockerd, which is not allowed here, got /mtu, "
        r"/userland-proxy; "
        r'.*gvisor_restart = "auto", or "reload"'
    )

    with pytest.raises(Problem, match=message):
        plan_daemon_json(node(), {**BOTH, "mtu": 1400}, restart="never")


@pytest.mark.parametrize("restart", POLICIES)
def test_where_everything_is_in_force_no_policy_changes_anything(restart: Restart) -> None:
    settled = node(**after(plan_daemon_json(node(), BOTH)))

    plan = plan_daemon_json(settled, BOTH, restart=restart)

    assert not plan.changes
    assert plan.unapplied == ()


@table("wanted", {"only-owed": PROXY_OFF, "owed-and-reloaded": BOTH})
def test_a_second_run_still_owes_the_restart_and_changes_nothing(wanted: dict[str, Json]) -> None:
    first = plan_daemon_json(node(), wanted, restart="reload")

    second = plan_daemon_json(node(**after(first)), wanted, restart="reload")

    assert not second.changes
    assert second.unapplied == ("/userland-proxy",)
    assert second.reasons == ("take effect when dockerd is restarted: /userland-proxy",)


def test_an_owed_restart_is_made_as_soon_as_it_is_allowed() -> None:
    left = node(**after(plan_daemon_json(node(), BOTH, restart="reload")))

    plan = plan_daemon_json(left, BOTH)

    assert plan.action is Force.RESTART
    assert plan.before == plan.after
    assert plan.unapplied == ()
    assert "already in the file, but dockerd was started without them" in plan.reasons[0]


def test_an_owed_restart_is_refused_where_none_is_allowed() -> None:
    left = node(**after(plan_daemon_json(node(), BOTH, restart="reload")))

    with pytest.raises(Problem, match="got /userland-proxy; "):
        plan_daemon_json(left, BOTH, restart="never")


def test_an_owed_restart_that_somebody_made_is_owed_no_longer() -> None:
    given = after(plan_daemon_json(node(), BOTH, restart="reload"))
    given["mtime_s"], given["ticks"] = 0, 60_000

    plan = plan_daemon_json(node(**given), BOTH, restart="reload")

    assert (plan.changes, plan.unapplied) == (False, ())


def test_what_is_owed_to_one_owner_is_no_reason_for_another_to_restart() -> None:
    left = node(**after(plan_daemon_json(node(), PROXY_OFF, owner="other", restart="reload")))

    plan = plan_daemon_json(left, LIVE)

    assert plan.action is Force.RELOAD
    assert plan.unapplied == ("/userland-proxy",)


def test_a_key_that_is_given_back_without_its_restart_stays_owed() -> None:
    settled = node(**after(plan_daemon_json(node(), BOTH)))

    plan = plan_daemon_json(settled, LIVE, restart="reload")
    again = plan_daemon_json(node(**after(plan)), LIVE, restart="reload")

    assert plan.action is again.action is Force.NOTHING
    assert plan.unapplied == again.unapplied == ("/userland-proxy",)
    assert "userland-proxy" not in (plan.after or "")
    assert not again.changes


def test_a_foreign_key_that_was_changed_since_the_start_is_owed_and_left() -> None:
    settled = node(**after(plan_daemon_json(node(), LIVE)))
    edited = settled.daemon_json.model_copy(update={"text": '{"live-restore": true, "icc": false}'})

    plan = plan_daemon_json(settled.model_copy(update={"daemon_json": edited}), LIVE)

    assert plan.unapplied == ("/icc",)
    assert plan.action is Force.NOTHING


@table(
    "before, restart, neutral",
    {
        "a-reload": (LIVE, "auto", True),
        "a-restart-reads-all-anew": (BOTH, "auto", False),
        "a-reload-instead-of-a-restart": (BOTH, "reload", True),
        "nothing-that-a-reload-would-read": (PROXY_OFF, "reload", False),
        "runtimes": ({"runtimes": {"runsc": RUNSC}}, "never", True),
    },
)
def test_values_are_made_ineffective_first_only_where_a_reload_would_keep_them(
    before: dict[str, Json], restart: Restart, neutral: bool
) -> None:
    settled = node(**after(plan_daemon_json(node(), before)))

    plan = plan_daemon_json(settled, {}, restart=restart)

    assert (plan.neutral is not None) is neutral


def test_a_reload_does_not_claim_that_dockerd_was_started_with_what_is_owed() -> None:
    found = node(daemon_json='{"mtu": 1400}')

    plan = plan_daemon_json(found, BOTH, restart="reload")

    assert plan.started_with == {"mtu": 1400}
    assert plan.loaded == LIVE
