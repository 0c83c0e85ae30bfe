"""Removal: which sandboxes are in the way, what goes and what stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.merge import GVISOR
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from pyinfra_gvisor.daemon_json.runtime_users import RuntimeUser
from pyinfra_gvisor.dispatch.policy import Dispatch
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.preflight.removal import Removal, plan_removal, refuse_removal
from pyinfra_gvisor.preflight.wanted import plan_without_us
from pyinfra_gvisor.runtimes.profiles import DEFAULT_RUNTIME, Runtime
from pyinfra_gvisor.runtimes.wrappers import dispatcher, wrapper
from tests.unit.answers import Running, after, compact, node

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


@pytest.mark.parametrize("release", [OLD, NEW])
def test_a_container_that_runs_on_a_release_of_ours_is_in_the_way(release: str) -> None:
    with pytest.raises(Problem, match=r"would be removed: shop; .*gvisor_keep_running=True"):
        refuse_removal(node(**INSTALLED, containers=[sandbox("shop", release)]))


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(ours(), id="none"),
        pytest.param(ours(containers=[Running("web")]), id="runc"),
        pytest.param(
            node(containers=[Running("old", executable="/usr/local/bin/runsc")]),
            id="another-set-up-under-the-same-name",
        ),
    ],
)
def test_what_runs_on_nothing_of_ours_is_not_in_the_way(found: Node) -> None:
    refuse_removal(found)


def test_on_an_unused_node_everything_of_ours_goes() -> None:
    plan = removal(node(**INSTALLED))

    assert sorted(plan.paths) == sorted(EVERYTHING)
    assert (plan.link, plan.state, plan.kept) == (True, True, ())
    assert plan.changes


def test_what_a_running_sandbox_uses_stays_with_its_wrapper() -> None:
    plan = removal(node(**INSTALLED, containers=[sandbox("shop", OLD)]))

    assert sorted(plan.paths) == [f"/opt/gvisor/releases/{NEW}", WRAPPERS[NEW]]
    assert plan.kept == (f"/opt/gvisor/releases/{OLD}",)


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(ours(owners=("other",)), id="anothers"),
        pytest.param(ours(owners=(GVISOR, "other")), id="shared"),
    ],
)
def test_with_another_owner_its_release_and_our_records_stay(found: Node) -> None:
    plan = removal(found)

    assert not plan.state
    assert plan.kept == (f"/opt/gvisor/releases/{NEW}", "/var/lib/pyinfra-gvisor")
    assert sorted(plan.paths) == [f"/opt/gvisor/releases/{OLD}", WRAPPERS[OLD]]


def test_another_owner_of_another_key_keeps_only_our_records() -> None:
    given = after(plan_daemon_json(node(), {"dns": ["1.1.1.1"]}, owner="other"))

    plan = removal(node(**{**given, **INSTALLED}))

    assert (plan.state, plan.kept) == (False, ("/var/lib/pyinfra-gvisor",))
    assert sorted(plan.paths) == sorted(EVERYTHING)


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_what_a_container_needs_to_start_stays_with_our_records(running: bool) -> None:
    found = ours()

    plan = removal(found, user("shop", running=running))

    assert not plan.state
    assert plan.kept == (f"/opt/gvisor/releases/{NEW}", "/var/lib/pyinfra-gvisor")
    assert sorted(plan.paths) == [f"/opt/gvisor/releases/{OLD}", WRAPPERS[OLD]]


def test_what_an_entry_that_is_not_ours_points_at_stays() -> None:
    found = node(**INSTALLED, daemon_json=compact({"runtimes": {"mine": {"path": WRAPPERS[OLD]}}}))

    plan = removal(found)

    assert plan.kept == (f"/opt/gvisor/releases/{OLD}",)


def test_while_the_keys_are_still_there_what_they_point_at_is_told_to_go_with_them() -> None:
    assert sorted(removal(ours()).paths) == sorted(EVERYTHING)


@pytest.mark.parametrize(
    ("runsc_link", "goes"),
    [
        pytest.param(f"/opt/gvisor/releases/{NEW}/runsc", True, id="ours"),
        pytest.param("/usr/bin/runsc", False, id="somebody-elses"),
    ],
)
def test_only_a_link_of_ours_goes(runsc_link: str, goes: bool) -> None:
    assert removal(node(runsc_link=runsc_link)).link is goes


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(node(), id="never-there"),
        pytest.param(
            node(releases=[NEW], wrappers={WRAPPERS[NEW]: "0" * 64}, containers=[sandbox("shop")]),
            id="all-that-is-left-is-used",
        ),
    ],
)
def test_a_second_removal_finds_nothing_to_do(found: Node) -> None:
    assert not removal(found).changes


def test_a_file_that_may_still_point_at_something_and_cannot_be_read_is_refused() -> None:
    with pytest.raises(Problem, match="not JSON"):
        removal(node(**INSTALLED, daemon_json='{"a" 1}'))


@pytest.mark.parametrize(
    ("users", "stays"),
    [
        pytest.param((user("proxy", DEFAULT_RUNTIME),), True, id="used"),
        pytest.param((), False, id="unused"),
    ],
)
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
