"""What ``dockerd --validate`` lets through and cannot work is refused before it is written."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.merge import flatten
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from pyinfra_gvisor.daemon_json.refusals import can_live_restore, refuse
from pyinfra_gvisor.node import Node
from tests.unit.answers import RUNSC, UNIT_FLAGS, Running, after, info, node

RUNTIME: dict[str, Json] = {"runtimes": {"runsc": RUNSC}}
PROXY_OFF: dict[str, Json] = {"userland-proxy": False}


def check(found: Node, wanted: dict[str, Json], foreign: dict[str, Json] | None = None) -> None:
    """The rules on a file that holds ``wanted``, which is ours, and ``foreign``."""
    refuse(found, {**(foreign or {}), **wanted}, flatten(wanted))


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param({}, id="nothing"),
        pytest.param({**RUNTIME, "live-restore": True, "userland-proxy": False}, id="usual"),
        pytest.param({**RUNTIME, "default-runtime": "runsc"}, id="default-runtime"),
        pytest.param({"default-runtime": "runc"}, id="default-runc"),
        pytest.param({"runtimes": {"x": {"runtimeType": "io.x.v1", "options": {}}}}, id="shim"),
        pytest.param({"runtimes": {}}, id="no-runtimes"),
    ],
)
def test_what_works_is_not_refused(wanted: dict[str, Json]) -> None:
    check(node(), wanted)


@pytest.mark.parametrize(
    ("wanted", "foreign"),
    [
        pytest.param({"runtimes": {"runc": {"path": "/x"}}}, {}, id="ours"),
        pytest.param({}, {"runtimes": {"runc": {"path": "/x"}}}, id="somebody-elses"),
    ],
)
def test_a_runtime_called_runc_is_refused(
    wanted: dict[str, Json], foreign: dict[str, Json]
) -> None:
    with pytest.raises(Problem, match=r"^/runtimes/runc is reserved"):
        check(node(), wanted, foreign)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        pytest.param("/x", "^/runtimes/runsc must be an object, got /x$", id="text"),
        pytest.param([], r"^/runtimes/runsc must be an object, got \[\]$", id="a-list"),
        pytest.param(
            {"path": "/x", "args": []}, "^/runtimes/runsc/args is not a key of a runtime", id="args"
        ),
        pytest.param(
            {"Path": "/x"},
            "^/runtimes/runsc/Path is not a key.*use one of options, path",
            id="case",
        ),
        pytest.param(
            {"path": "/x", "runtimeType": "y"}, "^/runtimes/runsc has both path and", id="both"
        ),
    ],
)
def test_a_runtime_that_dockerd_would_misread_is_refused(entry: Json, message: str) -> None:
    with pytest.raises(Problem, match=message):
        check(node(), {"runtimes": {"runsc": entry}})


def test_a_misspelt_runtime_of_somebody_else_is_theirs() -> None:
    check(node(), {}, {"runtimes": {"kata": {"path": "/k", "args": []}}})


@pytest.mark.parametrize(
    "runtimes",
    [
        pytest.param({}, id="no-runtimes"),
        pytest.param({"runtimes": {"net": RUNSC}}, id="another"),
        pytest.param({"runtimes": []}, id="a-list"),
    ],
)
def test_a_default_runtime_that_is_not_registered_is_refused(runtimes: dict[str, Json]) -> None:
    with pytest.raises(Problem, match=r"^/default-runtime is not registered, got runsc; "):
        check(node(), {"default-runtime": "runsc"}, runtimes)


@pytest.mark.parametrize(
    "socket",
    [pytest.param("/var/run/docker.sock", id="var"), pytest.param("/run/docker.sock", id="run")],
)
def test_a_default_runtime_that_takes_docker_sock_from_a_container_is_refused_by_its_name(
    socket: str,
) -> None:
    found = node(containers=[Running("app"), Running("coolify-proxy", mounts=("/data", socket))])

    with pytest.raises(Problem, match=r"docker\.sock.*got runsc with coolify-proxy; "):
        check(found, {**RUNTIME, "default-runtime": "runsc"})


def test_a_default_runtime_of_somebody_else_is_theirs_even_beside_docker_sock() -> None:
    found = node(containers=[Running("proxy", mounts=("/run/docker.sock",))])

    check(found, RUNTIME, {"default-runtime": "runsc"})


def test_a_runtime_that_is_no_default_leaves_docker_sock_alone() -> None:
    check(node(containers=[Running("proxy", mounts=("/run/docker.sock",))]), RUNTIME)


@pytest.mark.parametrize("ours", [pytest.param(True, id="ours"), pytest.param(False, id="theirs")])
def test_a_default_runtime_that_docker_brings_itself_needs_no_entry(ours: bool) -> None:
    default: dict[str, Json] = {"default-runtime": "io.containerd.runc.v2"}

    check(node(), {**RUNTIME, **(default if ours else {})}, {} if ours else default)


def test_taking_away_the_runtime_that_somebody_made_the_default_is_refused() -> None:
    given = after(plan_daemon_json(node(), RUNTIME))
    given["daemon_json"] = given["daemon_json"].replace("{", '{"default-runtime": "runsc",', 1)
    given["docker"] = info(runtimes={"runsc": RUNSC}, default_runtime="runsc")

    with pytest.raises(Problem, match="default-runtime"):
        plan_daemon_json(node(**given), {})


@pytest.mark.parametrize(
    "swarm", [pytest.param("active", id="active"), pytest.param("pending", id="pending")]
)
def test_live_restore_is_refused_in_swarm_mode(swarm: str) -> None:
    with pytest.raises(Problem, match=r"^/live-restore cannot be used in swarm mode; "):
        check(node(docker=info(swarm=swarm)), {"live-restore": True})


@pytest.mark.parametrize(
    ("swarm", "value"),
    [
        pytest.param("inactive", True, id="no-swarm"),
        pytest.param("", True, id="unknown-to-old-docker"),
        pytest.param("active", False, id="live-restore-off"),
    ],
)
def test_live_restore_is_only_refused_with_swarm(swarm: str, value: bool) -> None:
    check(node(docker=info(swarm=swarm)), {"live-restore": value})


@pytest.mark.parametrize(
    ("flags", "key", "value"),
    [
        pytest.param(["--live-restore"], "live-restore", True, id="same-name"),
        pytest.param(["--userland-proxy=false"], "userland-proxy", False, id="with-value"),
        pytest.param(["--log-opt", "max-size=10m"], "log-opts", {"max-size": "5m"}, id="singular"),
        pytest.param(["--label=a"], "labels", ["b"], id="labels"),
        pytest.param(["--registry-mirror", "https://x"], "registry-mirrors", [], id="mirrors"),
        pytest.param(["--add-runtime=x=/x"], "runtimes", {"runsc": RUNSC}, id="add-runtime"),
        pytest.param(["-D"], "debug", True, id="short"),
        pytest.param(["-H", "fd://"], "hosts", ["fd://"], id="short-with-word"),
        pytest.param(["-Hfd://"], "hosts", ["fd://"], id="short-run-together"),
        pytest.param(["-l", "warn"], "log-level", "info", id="short-log-level"),
    ],
)
def test_a_key_that_dockerds_own_flag_sets_is_refused(
    flags: list[str], key: str, value: Json
) -> None:
    with pytest.raises(Problem, match=f"^/{key} is also set by the flag --"):
        check(node(flags=flags), {key: value})


@pytest.mark.parametrize(
    ("flags", "key", "value"),
    [
        pytest.param(UNIT_FLAGS, "live-restore", True, id="debians-unit"),
        pytest.param(["--log-level", "debug"], "debug", True, id="a-flags-value-is-no-flag"),
        pytest.param(["--label", "labels"], "features", {}, id="value-like-a-key"),
        pytest.param(["--live-restore-x"], "live-restore", True, id="longer-name"),
        pytest.param([], "debug", True, id="no-flags"),
    ],
)
def test_another_flag_is_no_conflict(flags: Iterable[str], key: str, value: Json) -> None:
    check(node(flags=flags), {key: value})


def test_a_key_of_somebody_else_that_a_flag_sets_too_is_theirs() -> None:
    check(node(flags=["--debug"]), {}, {"debug": True})


def test_a_flag_says_whether_dockerd_has_it_now_or_from_its_next_start_on() -> None:
    unit = base64.b64encode(b"ExecStart=/usr/sbin/dockerd --icc=false").decode()

    with pytest.raises(Problem, match=r"--icc in docker\.service for its next start"):
        check(node(unit=unit), {"icc": False})
    with pytest.raises(Problem, match="--icc of the running dockerd"):
        check(node(unit=unit, flags=["--icc=false"]), {"icc": False})


def test_without_a_running_dockerd_no_flag_is_known_and_none_is_in_the_way() -> None:
    check(node(without=("dockerd", "clock", "info")), {"debug": True})


def busy(**given: Any) -> Node:
    """A node on which a container runs."""
    return node(containers=[Running("app")], **given)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        pytest.param({"docker": info(swarm="active")}, "in a swarm, got app; ", id="swarm"),
        pytest.param({"docker": info(swarm="pending")}, "in a swarm, got app; ", id="joining"),
        pytest.param(
            {"flags": ["--live-restore=false"]}, "--live-restore=false, got app; ", id="flag"
        ),
        pytest.param(
            {"unit": base64.b64encode(b"ExecStart=dockerd --live-restore=false").decode()},
            "--live-restore=false, got app; ",
            id="flag-of-the-next-start",
        ),
    ],
)
def test_a_restart_that_would_end_running_containers_is_refused_by_their_names(
    given: dict[str, Any], why: str
) -> None:
    with pytest.raises(Problem, match=f"would end running containers.*{why}"):
        plan_daemon_json(busy(**given), PROXY_OFF)


def test_what_stays_owed_ends_no_container_and_is_not_refused() -> None:
    found = busy(docker=info(swarm="active"))

    plan = plan_daemon_json(found, PROXY_OFF, restart="reload")

    assert plan.unapplied == ("/userland-proxy",)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        pytest.param(busy(), {**PROXY_OFF, "live-restore": True}, id="made-live-first"),
        pytest.param(
            busy(daemon_json='{"live-restore": true}', docker=info(live_restore=True)),
            PROXY_OFF,
            id="live-already",
        ),
        pytest.param(busy(), PROXY_OFF, id="not-asked-for"),
        pytest.param(busy(), {**PROXY_OFF, "live-restore": False}, id="asked-to-be-off"),
        pytest.param(
            busy(flags=["--live-restore"], docker=info(live_restore=True)), PROXY_OFF, id="by-flag"
        ),
        pytest.param(node(), PROXY_OFF, id="nothing-runs"),
        pytest.param(node(docker=info(swarm="active")), PROXY_OFF, id="nothing-runs-in-a-swarm"),
        pytest.param(busy(), {"labels": ["a=b"]}, id="a-reload"),
    ],
)
def test_a_change_that_stops_no_container_is_not_refused(
    found: Node, wanted: dict[str, Json]
) -> None:
    assert plan_daemon_json(found, wanted).changes


def test_a_removal_whose_restart_would_end_running_containers_is_refused() -> None:
    given = after(plan_daemon_json(node(), PROXY_OFF))

    with pytest.raises(Problem, match="would end running containers"):
        plan_daemon_json(busy(**{**given, "docker": info(swarm="active")}), {})


@pytest.mark.parametrize(
    ("given", "can"),
    [
        pytest.param({}, True, id="plain"),
        pytest.param({"docker": info(live_restore=True)}, True, id="live-already"),
        pytest.param({"without": ("info", "dockerd", "clock")}, True, id="down"),
        pytest.param({"docker": info(swarm="active")}, False, id="swarm"),
        pytest.param(
            {"flags": ["--live-restore"]}, False, id="a-flag-that-the-file-may-not-repeat"
        ),
        pytest.param({"flags": ["--live-restore=false"]}, False, id="switched-off-by-flag"),
    ],
)
def test_whether_the_file_may_switch_live_restore_on_depends_on_the_node(
    given: dict[str, Any], can: bool
) -> None:
    assert can_live_restore(node(**given)) is can
