"""A runtime that a container uses, running or stopped, does not leave daemon.json."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json, JsonText
from pyinfra_gvisor.daemon_json.generations import Generation, plan_generation
from pyinfra_gvisor.daemon_json.keys import Force
from pyinfra_gvisor.daemon_json.merge import CANARY, GVISOR, Owned
from pyinfra_gvisor.daemon_json.plan import Plan, plan_around_users, plan_daemon_json
from pyinfra_gvisor.daemon_json.render_plan import kept_lines, plan_lines
from pyinfra_gvisor.daemon_json.runtime_users import RuntimeUser, parse_runtime_users
from pyinfra_gvisor.node import Node
from tests.unit.answers import UNIT_FLAGS, after, compact, info, node

RUNSC: Json = {"path": "/opt/gvisor/runtimes/runsc-20260928.0-0a1b2c3d"}
NET: Json = {"path": "/opt/gvisor/runtimes/net-20260831.0-0a1b2c3d"}
ONE: dict[str, Json] = {"runtimes": {"runsc": RUNSC}}
BOTH: dict[str, Json] = {"runtimes": {"runsc": RUNSC, "net": NET}}
THEIRS = compact({"runtimes": {"runsc": {"path": "/usr/bin/runsc"}, "net": {"path": "/net"}}})
END = "end of containers"


def user(name: str, runtime: str, *, running: bool = True) -> RuntimeUser:
    """A container as Docker tells of it."""
    return RuntimeUser(name=name, running=running, runtime=runtime)


SHOP, IDLE = user("shop", "net"), user("idle", "net", running=False)


def having(wanted: dict[str, Json], owner: str = GVISOR, **given: Any) -> dict[str, Any]:
    """A node on which this owner had these keys brought into force."""
    return {**given, **after(plan_daemon_json(node(**given), wanted, owner=owner))}


def planned(
    found: Node,
    wanted: dict[str, Json],
    *users: RuntimeUser,
    keep_running: bool = False,
    owner: str = GVISOR,
) -> Plan:
    """The plan on a node with these containers."""
    planning = partial(plan_daemon_json, found, wanted, owner=owner)
    return plan_around_users(planning, lambda: users, keep_running=keep_running)


def runtimes(plan: Plan) -> Json:
    """The runtimes that the file would have."""
    return JsonText(plan.after or "{}").value.get("runtimes")


def nobody_asks() -> Sequence[RuntimeUser]:
    """Fails if the containers are asked for."""
    raise AssertionError


def test_containers_are_read_as_docker_prints_them() -> None:
    lines = [compact(["/shop", True, "runsc"]), compact(["/gr\u00fc\u00df", False, ""]), END]

    assert parse_runtime_users(lines) == (
        user("shop", "runsc"),
        user("gr\u00fc\u00df", "", running=False),
    )


def test_a_node_without_containers_has_no_users() -> None:
    assert parse_runtime_users([END]) == ()


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([], id="nothing"),
        pytest.param(["permission denied"], id="an-error"),
        pytest.param([compact(["/shop", True, "runsc"])], id="cut-off"),
        pytest.param(["[", END], id="not-json"),
        pytest.param(["5", END], id="a-number"),
        pytest.param(['["/shop",true]', END], id="too-short"),
        pytest.param(['[null,true,"runsc"]', END], id="no-name"),
        pytest.param(['["/shop","perhaps","runsc"]', END], id="not-whether-it-runs"),
        pytest.param(["[" * 9999, END], id="deep"),
    ],
)
def test_an_answer_that_cannot_be_understood_is_an_error_of_this_host_alone(
    lines: list[str],
) -> None:
    with pytest.raises(ValueError, match="the node's answer"):
        parse_runtime_users(lines)


@pytest.mark.parametrize(
    ("wanted", "owner"),
    [
        pytest.param(ONE, GVISOR, id="other-settings"),
        pytest.param({}, GVISOR, id="removal"),
        pytest.param({"runtimes": {"runsc": RUNSC, "Net": NET}}, GVISOR, id="in-other-case"),
        pytest.param({"runtimes": {}}, GVISOR, id="no-runtime-at-all"),
    ],
)
@pytest.mark.parametrize("users", [(SHOP,), (IDLE,)], ids=["running", "stopped"])
def test_no_change_takes_away_what_a_container_needs_to_start(
    wanted: dict[str, Json], owner: str, users: tuple[RuntimeUser, ...]
) -> None:
    found = node(**having({**BOTH, "default-runtime": "net"}))

    with pytest.raises(Problem, match=rf"net \(these need it to start: {users[0].name}"):
        planned(found, wanted, *users, owner=owner)


def test_another_owner_takes_nothing_away_either() -> None:
    found = node(**having({"runtimes": {"net": NET}}, "theirs", **having(ONE)))

    with pytest.raises(Problem, match=r"net \(these need it to start: shop, idle \(stopped\)\);"):
        planned(found, {}, SHOP, IDLE, owner="theirs")


def test_an_entry_of_the_users_own_is_not_overwritten_while_it_is_used() -> None:
    live = {"runsc": {"path": "/usr/bin/runsc"}, "net": {"path": "/net"}}
    found = node(daemon_json=THEIRS, docker=info(runtimes=live))

    with pytest.raises(Problem, match=r"net \(these need it to start: shop"):
        planned(found, {"runtimes": {}}, SHOP, owner="theirs")


def test_every_container_is_named_however_many_there_are() -> None:
    found = node(**having(BOTH))
    users = [user(f"container-{number}", "net") for number in range(99)]

    with pytest.raises(Problem) as problem:
        planned(found, ONE, *users)

    assert all(item.name in str(problem.value) for item in users)


@pytest.mark.parametrize(
    "users",
    [
        pytest.param((), id="no-container"),
        pytest.param((user("shop", "runsc"), user("web", "runc")), id="of-other-runtimes"),
        pytest.param((user("shop", "Net"),), id="of-one-in-other-case"),
    ],
)
def test_what_nobody_uses_leaves_and_the_plan_says_so(users: tuple[RuntimeUser, ...]) -> None:
    found = node(**having(BOTH))

    plan = planned(found, ONE, *users)

    assert runtimes(plan) == {"runsc": RUNSC}
    lines = plan_lines(plan, found, wait_s=300)
    assert "  runtimes removed, no container uses them: net" in lines


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        pytest.param(having(BOTH), BOTH, id="as-declared"),
        pytest.param(having(BOTH), {"runtimes": {"runsc": NET, "net": RUNSC}}, id="other-paths"),
        pytest.param({"daemon_json": THEIRS}, ONE, id="the-users-own-beside-ours"),
        pytest.param(having(BOTH, "theirs"), ONE, id="anothers"),
        pytest.param(having(BOTH, daemon_json=THEIRS), ONE, id="comes-back-as-it-was"),
        pytest.param(having({"runtimes": {"net": NET}}, CANARY), ONE, id="a-temporary-one"),
    ],
)
def test_where_none_leaves_nobody_is_asked(given: dict[str, Any], wanted: dict[str, Json]) -> None:
    planning = partial(plan_daemon_json, node(**given), wanted)

    assert plan_around_users(planning, nobody_asks, keep_running=False).leaving == ()


def test_until_the_last_user_is_gone_the_runtime_stays_and_a_second_run_changes_nothing() -> None:
    given = having(BOTH)

    kept = planned(node(**given), ONE, SHOP, IDLE, keep_running=True)
    again = planned(node(**{**given, **after(kept)}), ONE, IDLE, keep_running=True)
    last = planned(node(**{**given, **after(again)}), ONE, keep_running=True)

    assert (kept.changes, again.changes, last.changes) == (False, False, True)
    assert runtimes(kept) == runtimes(again) == BOTH["runtimes"]
    assert (kept.kept, again.kept) == (
        {"net": ("shop", "idle (stopped)")},
        {"net": ("idle (stopped)",)},
    )
    said = "runtime net is not declared, but these containers need it: shop, idle (stopped). "
    assert said in kept_lines(kept)[0]
    assert (runtimes(last), last.leaving, last.kept) == ({"runsc": RUNSC}, ("net",), {})


def test_of_a_removal_nothing_but_the_used_runtime_stays_and_then_the_original() -> None:
    original = '{ "dns": ["1.1.1.1"] }'
    given = having({**BOTH, "live-restore": True}, daemon_json=original)

    kept = planned(node(**given), {}, IDLE, keep_running=True)
    last = planned(node(**{**given, **after(kept)}), {}, keep_running=True)

    assert JsonText(kept.after or "").value == {"dns": ["1.1.1.1"], "runtimes": {"net": NET}}
    assert list(kept.owned.paths) == ["/runtimes/net"]
    assert (last.after, last.owned) == (original, Owned())


def rollback(new: dict[str, Any], old: dict[str, Any], *users: RuntimeUser, **more: Any) -> Plan:
    """The plan back to what was before."""
    owned = Owned.load(old["state"]["owned"]) if "state" in old else Owned()
    generation = Generation(number=1, made_s=0, text=old.get("daemon_json"), owned=owned)
    planning = partial(plan_generation, node(**new), generation)
    return plan_around_users(planning, lambda: users, **more)


@pytest.mark.parametrize("old", [{}, having(ONE)], ids=["before-us", "with-another-runtime"])
def test_a_rollback_does_not_take_a_runtime_away_that_is_used(old: dict[str, Any]) -> None:
    new = having(BOTH, **old)

    kept = rollback(new, old, IDLE, keep_running=True)
    back = after(kept)
    again = rollback({**new, **back}, old, IDLE, keep_running=True)
    gone = rollback({**new, **back}, old, keep_running=True)

    with pytest.raises(Problem, match=r"net \(these need it to start: idle \(stopped\)"):
        rollback(new, old, IDLE, keep_running=False)
    assert kept.kept == {"net": ("idle (stopped)",)}
    assert kept.owned.paths["/runtimes/net"].owners == (GVISOR,)
    assert not again.changes
    assert gone.after == old.get("daemon_json")


@pytest.mark.parametrize(
    ("given", "wanted", "action", "leaving"),
    [
        pytest.param(
            {"flags": (*UNIT_FLAGS, "--add-runtime=net=/n")},
            {"mtu": 1400},
            Force.RESTART,
            (),
            id="of-a-flag",
        ),
        pytest.param(
            {"flags": (*UNIT_FLAGS, "--add-runtime", "net=/n")},
            {"mtu": 1400},
            Force.RESTART,
            (),
            id="of-a-flag-in-two-words",
        ),
        pytest.param({}, {"mtu": 1400}, Force.RESTART, ("net",), id="a-restart"),
        pytest.param({}, ONE, Force.RELOAD, ("net",), id="a-reload-that-reads-runtimes"),
        pytest.param({}, {"debug": True}, Force.RELOAD, (), id="a-reload-that-reads-none"),
    ],
)
def test_what_only_the_live_daemon_knows_leaves_with_what_it_reads_next(
    given: dict[str, Any], wanted: dict[str, Json], action: Force, leaving: tuple[str, ...]
) -> None:
    found = node(docker=info(runtimes={"net": NET}), **given)

    plan = plan_daemon_json(found, wanted)

    assert (plan.action, plan.leaving) == (action, leaving)


def test_what_is_in_no_file_cannot_be_kept_and_is_refused_with_the_way_out() -> None:
    found = node(docker=info(runtimes={"net": NET}))

    with pytest.raises(
        Problem, match=r"these need it to start: shop\); add these runtimes to the file"
    ):
        planned(found, ONE, SHOP, keep_running=True)


def test_an_entry_that_somebody_deleted_by_hand_is_written_again_while_it_is_used() -> None:
    given = {**having(BOTH), "daemon_json": compact(ONE)}

    plan = planned(node(**given), ONE, SHOP, keep_running=True)

    assert runtimes(plan) == BOTH["runtimes"]


def test_a_name_that_is_no_ascii_is_compared_as_the_node_tells_it() -> None:
    found = node(**having({"runtimes": {"n\u00e9t": NET}}))

    with pytest.raises(Problem, match="these need it to start: shop"):
        planned(found, {}, user("shop", "n??t"))
