"""Removal of everything or of a runtime: which containers are in the way, and what stays."""

from collections.abc import Sequence
from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json, JsonText
from pyinfra_gvisor.daemon_json.generations import Generation, plan_generation
from pyinfra_gvisor.daemon_json.keys import Force
from pyinfra_gvisor.daemon_json.merge import CANARY, GVISOR, Owned
from pyinfra_gvisor.daemon_json.plan import Plan, plan_around_users, plan_daemon_json
from pyinfra_gvisor.daemon_json.render_plan import kept_lines, plan_lines
from pyinfra_gvisor.daemon_json.runtime_users import RuntimeUser, parse_runtime_users
from pyinfra_gvisor.dispatch.policy import Dispatch
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.planning.removal import Removal, plan_removal, refuse_removal
from pyinfra_gvisor.planning.wanted import plan_without_us
from pyinfra_gvisor.runtimes.profiles import DEFAULT_RUNTIME, Runtime
from pyinfra_gvisor.runtimes.wrappers import dispatcher, wrapper
from tests.table import table
from tests.unit.answers import Running, after, compact, info, node

OLD, NEW = "20260831.0", "20260928.0"
WRAPPERS = {release: wrapper("runsc", release, Runtime()).path for release in (OLD, NEW)}
RUNTIME: dict[str, Json] = {"runtimes": {"runsc": {"path": WRAPPERS[NEW]}}}
INSTALLED: dict[str, Any] = {
    "releases": [OLD, NEW],
    "wrappers": dict.fromkeys(WRAPPERS.values(), "0" * 64),
    "runsc_link": f"/opt/gvisor/releases/{NEW}/runsc",
    "state_dir": "yes",
}
EVERYTHING = [WRAPPERS[OLD], WRAPPERS[NEW], *(f"/opt/gvisor/releases/{it}" for it in (OLD, NEW))]


def ours(*, before: str | None = None, owners: Sequence[str] = (GVISOR,), **given: Any) -> Node:
    """A node on which these owners have the runtime in daemon.json."""
    state: dict[str, Any] = {"daemon_json": before}
    for owner in owners:
        state = after(plan_daemon_json(node(**state), RUNTIME, owner=owner))
    return node(**{**state, **INSTALLED, **given})


def sandbox(name: str, release: str = NEW) -> Running:
    """A container that runs on a release of ours."""
    executable = f"/opt/gvisor/releases/{release}/runsc"
    return Running(name, runtime="runsc", executable=executable, argv0="runsc-sandbox")


def user(name: str, runtime: str = "runsc", *, running: bool = True) -> RuntimeUser:
    """A container as Docker tells of it."""
    return RuntimeUser(name=name, running=running, runtime=runtime)


def removal(found: Node, *users: RuntimeUser) -> Removal:
    """What a removal makes of a node with these containers."""
    return plan_removal(found, plan_without_us(found, lambda: users))


def test_a_container_that_runs_on_a_release_of_ours_is_in_the_way() -> None:
    with pytest.raises(Problem, match=r"would be removed: shop; .*gvisor_keep_running=True"):
        refuse_removal(node(**INSTALLED, containers=[sandbox("shop", OLD)]))


def test_what_runs_on_nothing_of_ours_is_not_in_the_way() -> None:
    another = Running("old", pid=2, executable="/usr/local/bin/runsc")

    refuse_removal(ours(containers=[Running("web"), another]))


@table("found", only_files=node(**INSTALLED), with_the_keys_that_point_there=ours())
def test_on_an_unused_node_everything_of_ours_goes(found: Node) -> None:
    plan = removal(found)

    assert sorted(plan.paths) == sorted(EVERYTHING)
    assert (plan.link, plan.state, plan.kept) == (True, True, ())
    assert plan.changes


def test_what_a_running_sandbox_uses_stays_with_its_wrapper() -> None:
    plan = removal(node(**INSTALLED, containers=[sandbox("shop", OLD)]))

    assert sorted(plan.paths) == [f"/opt/gvisor/releases/{NEW}", WRAPPERS[NEW]]
    assert plan.kept == (f"/opt/gvisor/releases/{OLD}",)


@table(
    "found, users",
    another_owner=(ours(owners=("other",)), ()),
    shared=(ours(owners=(GVISOR, "other")), ()),
    running=(ours(), (user("shop"),)),
    stopped=(ours(), (user("shop", running=False),)),
)
def test_what_another_owner_has_or_a_container_needs_to_start_stays_with_our_records(
    found: Node, users: tuple[RuntimeUser, ...]
) -> None:
    plan = removal(found, *users)

    assert not plan.state
    assert plan.kept == (f"/opt/gvisor/releases/{NEW}", "/var/lib/pyinfra-gvisor")
    assert sorted(plan.paths) == [f"/opt/gvisor/releases/{OLD}", WRAPPERS[OLD]]


def test_another_owner_of_another_key_keeps_only_our_records() -> None:
    given = after(plan_daemon_json(node(), {"dns": ["1.1.1.1"]}, owner="other"))

    plan = removal(node(**{**given, **INSTALLED}))

    assert (plan.state, plan.kept) == (False, ("/var/lib/pyinfra-gvisor",))
    assert sorted(plan.paths) == sorted(EVERYTHING)


def test_what_an_entry_that_is_not_ours_points_at_stays() -> None:
    found = node(**INSTALLED, daemon_json=compact({"runtimes": {"mine": {"path": WRAPPERS[OLD]}}}))

    assert removal(found).kept == (f"/opt/gvisor/releases/{OLD}",)


def test_a_link_of_somebody_else_stays() -> None:
    assert not removal(node(runsc_link="/usr/bin/runsc")).link


@table(
    "found",
    never_there=node(),
    all_that_is_left_is_used=node(
        releases=[NEW], wrappers={WRAPPERS[NEW]: "0" * 64}, containers=[sandbox("shop")]
    ),
)
def test_a_second_removal_finds_nothing_to_do(found: Node) -> None:
    assert not removal(found).changes


def test_a_file_that_may_still_point_at_something_and_cannot_be_read_is_refused() -> None:
    with pytest.raises(Problem, match="not JSON"):
        removal(node(**INSTALLED, daemon_json='{"a" 1}'))


@table("users, stays", used=((user("proxy", DEFAULT_RUNTIME),), True), unused=((), False))
def test_a_container_under_runc_keeps_every_default_runtime_that_it_may_remember(
    users: tuple[RuntimeUser, ...], stays: bool
) -> None:
    dispatch = Dispatch("runsc", ())
    old, new = (dispatcher(name, {"runsc": Runtime()}, dispatch).path for name in (OLD, NEW))
    entries: dict[str, Json] = {DEFAULT_RUNTIME: {"path": new}, "runsc": {"path": WRAPPERS[NEW]}}
    state = after(plan_daemon_json(node(), {"runtimes": entries}))
    there = dict.fromkeys([*WRAPPERS.values(), old, new], "0" * 64)
    found = node(**{**state, **INSTALLED, "wrappers": there})

    going = removal(found, *users).paths

    assert (old not in going) is stays
    assert (new not in going) is stays
    assert {WRAPPERS[OLD], f"/opt/gvisor/releases/{OLD}"} <= {*going}


RUNSC: Json = {"path": "/opt/gvisor/runtimes/runsc-20260928.0-0a1b2c3d"}
NET: Json = {"path": "/opt/gvisor/runtimes/net-20260831.0-0a1b2c3d"}
ONE: dict[str, Json] = {"runtimes": {"runsc": RUNSC}}
BOTH: dict[str, Json] = {"runtimes": {"runsc": RUNSC, "net": NET}}
THERE = {"runsc": {"path": "/usr/bin/runsc"}, "net": {"path": "/net"}}
THEIRS = compact({"runtimes": THERE})
END = "end of containers"


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


@table(
    "lines",
    an_error=["permission denied"],
    cut_off=[compact(["/shop", True, "runsc"])],
    not_json=["[", END],
    a_number=["5", END],
    too_short=['["/shop",true]', END],
    no_name=['[null,true,"runsc"]', END],
    not_whether_it_runs=['["/shop","perhaps","runsc"]', END],
    deep=["[" * 9999, END],
)
def test_an_answer_that_cannot_be_understood_is_an_error_of_this_host_alone(
    lines: list[str],
) -> None:
    with pytest.raises(ValueError, match="the node's answer"):
        parse_runtime_users(lines)


ANOTHERS = having({"runtimes": {"net": NET}}, "theirs", **having(ONE))
NOBODYS: dict[str, Any] = {"daemon_json": THEIRS, "docker": info(runtimes=THERE)}


@table(
    "given, wanted, owner",
    other_settings=(having(BOTH), ONE, GVISOR),
    removal=(having(BOTH), {}, GVISOR),
    in_other_case=(having(BOTH), {"runtimes": {"runsc": RUNSC, "Net": NET}}, GVISOR),
    no_runtime_at_all=(having(BOTH), {"runtimes": {}}, GVISOR),
    of_another_owner=(ANOTHERS, {}, "theirs"),
    of_nobody=(NOBODYS, {"runtimes": {}}, "theirs"),
)
def test_no_change_takes_away_what_a_container_needs_to_start(
    given: dict[str, Any], wanted: dict[str, Json], owner: str
) -> None:
    with pytest.raises(Problem, match=r"net \(these need it to start: shop, idle \(stopped\)\)"):
        planned(node(**given), wanted, SHOP, IDLE, owner=owner)


def test_every_container_is_named_however_many_there_are() -> None:
    names = [f"container-{number}" for number in range(99)]

    with pytest.raises(Problem, match=", ".join(names)):
        planned(node(**having(BOTH)), ONE, *(user(name, "net") for name in names))


@table(
    "users",
    no_container=(),
    of_other_runtimes=(user("shop", "runsc"), user("web", "runc")),
    of_one_in_other_case=(user("shop", "Net"),),
)
def test_what_nobody_uses_leaves_and_the_plan_says_so(users: tuple[RuntimeUser, ...]) -> None:
    found = node(**having(BOTH))

    plan = planned(found, ONE, *users)

    assert runtimes(plan) == {"runsc": RUNSC}
    assert "  runtimes removed, no container uses them: net" in plan_lines(plan, found, wait_s=300)


@table(
    "given, wanted",
    as_declared=(having(BOTH), BOTH),
    other_paths=(having(BOTH), {"runtimes": {"runsc": NET, "net": RUNSC}}),
    the_users_own_beside_ours=({"daemon_json": THEIRS}, ONE),
    anothers=(having(BOTH, "theirs"), ONE),
    comes_back_as_it_was=(having(BOTH, daemon_json=THEIRS), ONE),
    a_temporary_one=(having({"runtimes": {"net": NET}}, CANARY), ONE),
)
def test_where_none_leaves_nobody_is_asked(given: dict[str, Any], wanted: dict[str, Json]) -> None:
    planning = partial(plan_daemon_json, node(**given), wanted)

    nobody_asks = Mock(side_effect=AssertionError)

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


@table(
    "flags, wanted, action, leaving",
    of_a_flag=(["--add-runtime=net=/n"], {"mtu": 1400}, Force.RESTART, ()),
    in_two_words=(["--add-runtime", "net=/n"], {"mtu": 1400}, Force.RESTART, ()),
    a_restart=([], {"mtu": 1400}, Force.RESTART, ("net",)),
    a_reload_that_reads_runtimes=([], ONE, Force.RELOAD, ("net",)),
    a_reload_that_reads_none=([], {"debug": True}, Force.RELOAD, ()),
)
def test_what_only_the_live_daemon_knows_leaves_with_what_it_reads_next(
    flags: list[str], wanted: dict[str, Json], action: Force, leaving: tuple[str, ...]
) -> None:
    plan = plan_daemon_json(node(docker=info(runtimes={"net": NET}), flags=flags), wanted)

    assert (plan.action, plan.leaving) == (action, leaving)


def test_what_is_in_no_file_cannot_be_kept_and_is_refused_with_the_way_out() -> None:
    found = node(docker=info(runtimes={"net": NET}))

    with pytest.raises(Problem, match=r"to start: shop\); add these runtimes to the file"):
        planned(found, ONE, SHOP, keep_running=True)


def test_an_entry_that_somebody_deleted_by_hand_is_written_again_while_it_is_used() -> None:
    given = {**having(BOTH), "daemon_json": compact(ONE)}

    assert runtimes(planned(node(**given), ONE, SHOP, keep_running=True)) == BOTH["runtimes"]


def test_a_name_that_is_no_ascii_is_compared_as_the_node_tells_it() -> None:
    found = node(**having({"runtimes": {"n\u00e9t": NET}}))

    with pytest.raises(Problem, match="these need it to start: shop"):
        planned(found, {}, user("shop", "n??t"))
