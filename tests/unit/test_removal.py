"""Removal: who is in the way, who cannot start again, what goes and what stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from pyinfra_gvisor.daemon_json.merge import GVISOR
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from pyinfra_gvisor.daemon_json.text import Json
from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.removal import (
    RuntimeUser,
    parse_runtime_users,
    plan_removal,
    refuse_removal,
    stranded,
)
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.runtimes.wrappers import wrapper
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
END = "end of containers"


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


def test_containers_are_read_as_docker_prints_them() -> None:
    lines = [compact(["/shop", True, "runsc"]), compact(["/gr\u00fc\u00df", False, ""]), END]

    assert parse_runtime_users(lines) == (user("shop"), user("gr\u00fc\u00df", "", running=False))


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
    ("found", "users"),
    [
        pytest.param(ours(containers=[sandbox("shop")]), [user("shop")], id="on-a-release"),
        pytest.param(
            node(**INSTALLED, containers=[sandbox("shop", OLD)]),
            [user("shop", "other")],
            id="on-a-release-that-no-entry-names-any-more",
        ),
        pytest.param(ours(), [user("shop")], id="about-to-be-started-again"),
    ],
)
def test_a_container_that_runs_on_what_would_go_is_in_the_way(
    found: Node, users: list[RuntimeUser]
) -> None:
    with pytest.raises(Problem, match=r"would go, got shop; .*gvisor_keep_running=True"):
        refuse_removal(found, users, keep_running=False)
    refuse_removal(found, users, keep_running=True)


@pytest.mark.parametrize(
    ("found", "users"),
    [
        pytest.param(ours(), [], id="none"),
        pytest.param(ours(), [user("shop", running=False)], id="stopped"),
        pytest.param(ours(containers=[Running("web")]), [user("web", "runc")], id="runc"),
        pytest.param(
            node(containers=[Running("old", executable="/usr/local/bin/runsc")]),
            [user("old")],
            id="another-set-up-under-the-same-name",
        ),
    ],
)
def test_who_needs_nothing_of_ours_is_not_in_the_way(found: Node, users: list[RuntimeUser]) -> None:
    refuse_removal(found, users, keep_running=False)


@pytest.mark.parametrize(
    ("found", "names"),
    [
        pytest.param(ours(), ["shop", "stopped"], id="ours"),
        pytest.param(node(), [], id="not-ours"),
        pytest.param(ours(owners=(GVISOR, "other")), [], id="another-owner-keeps-it"),
        pytest.param(
            ours(before='{"runtimes": {"runsc": {"path": "/usr/local/bin/runsc"}}}'),
            [],
            id="the-entry-before-us-comes-back",
        ),
    ],
)
def test_who_cannot_start_again_is_known_running_or_not(found: Node, names: list[str]) -> None:
    users = [user("shop"), user("stopped", running=False), user("web", "runc")]

    assert stranded(found, users) == names


def test_who_has_a_runtime_that_stays_can_start_again() -> None:
    users = [user("shop"), user("net", "net")]

    assert stranded(ours(), users, staying=("net", "runsc")) == []
    assert stranded(ours(), users, staying=("net",)) == ["shop"]


def test_on_an_unused_node_everything_of_ours_goes() -> None:
    removal = plan_removal(node(**INSTALLED))

    assert sorted(removal.paths) == sorted(EVERYTHING)
    assert (removal.link, removal.state, removal.kept) == (True, True, ())
    assert removal.changes


def test_what_a_running_sandbox_uses_stays_with_its_wrapper() -> None:
    removal = plan_removal(node(**INSTALLED, containers=[sandbox("shop", OLD)]))

    assert sorted(removal.paths) == [f"/opt/gvisor/releases/{NEW}", WRAPPERS[NEW]]
    assert removal.kept == (f"/opt/gvisor/releases/{OLD}",)


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(ours(owners=("other",)), id="anothers"),
        pytest.param(ours(owners=(GVISOR, "other")), id="shared"),
    ],
)
def test_with_another_owner_its_release_and_our_records_stay(found: Node) -> None:
    removal = plan_removal(found)

    assert not removal.state
    assert removal.kept == (f"/opt/gvisor/releases/{NEW}", "/var/lib/pyinfra-gvisor")
    assert sorted(removal.paths) == [f"/opt/gvisor/releases/{OLD}", WRAPPERS[OLD]]


def test_another_owner_of_another_key_keeps_only_our_records() -> None:
    given = after(plan_daemon_json(node(), {"dns": ["1.1.1.1"]}, owner="other"))

    removal = plan_removal(node(**{**given, **INSTALLED}))

    assert (removal.state, removal.kept) == (False, ("/var/lib/pyinfra-gvisor",))
    assert sorted(removal.paths) == sorted(EVERYTHING)


def test_what_an_entry_that_is_not_ours_points_at_stays() -> None:
    found = node(**INSTALLED, daemon_json=compact({"runtimes": {"mine": {"path": WRAPPERS[OLD]}}}))

    removal = plan_removal(found)

    assert removal.kept == (f"/opt/gvisor/releases/{OLD}",)


def test_while_the_keys_are_still_there_what_they_point_at_is_told_to_go_with_them() -> None:
    assert sorted(plan_removal(ours()).paths) == sorted(EVERYTHING)


@pytest.mark.parametrize(
    ("runsc_link", "goes"),
    [
        pytest.param(f"/opt/gvisor/releases/{NEW}/runsc", True, id="ours"),
        pytest.param("/usr/bin/runsc", False, id="somebody-elses"),
    ],
)
def test_only_a_link_of_ours_goes(runsc_link: str, goes: bool) -> None:
    assert plan_removal(node(runsc_link=runsc_link)).link is goes


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
    assert not plan_removal(found).changes


def test_a_file_that_may_still_point_at_something_and_cannot_be_read_is_refused() -> None:
    with pytest.raises(Problem, match="not JSON"):
        plan_removal(node(**INSTALLED, daemon_json='{"a" 1}'))
