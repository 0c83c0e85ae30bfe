"""What ``dockerd --validate`` lets through and cannot work is refused before it is written."""

import json
from contextlib import nullcontext
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json, Path, pointer
from pyinfra_gvisor.daemon_json.merge import flatten
from pyinfra_gvisor.daemon_json.plan import Restart, plan_daemon_json
from pyinfra_gvisor.daemon_json.refusals import (
    CONTAINERS_HOME,
    can_live_restore,
    refuse,
    refuse_moving,
)
from pyinfra_gvisor.node import Node
from tests.arguments import Data
from tests.table import table
from tests.unit.answers import RUNSC, Running, after, in_base64, info, node

RUNTIME: dict[str, Json] = {"runtimes": {"runsc": RUNSC}}
PROXY_OFF: dict[str, Json] = {"userland-proxy": False}
PROXY: dict[str, Any] = {"containers": [Running("proxy", mounts=("/run/docker.sock",))]}


def check(found: Node, wanted: dict[str, Json], foreign: dict[str, Json] | None = None) -> None:
    """The rules on a file that holds ``wanted``, which is ours, and ``foreign``."""
    refuse(found, {**(foreign or {}), **wanted}, flatten(wanted))


@table(
    "given, wanted, foreign",
    dockers_own_default=({}, {"default-runtime": "io.containerd.runc.v2"}, {}),
    default_of_others=(PROXY, RUNTIME, {"default-runtime": "runsc"}),
    no_default=(PROXY, RUNTIME, {}),
    no_swarm_known_to_old_docker=({"docker": info(swarm="")}, {"live-restore": True}, {}),
    live_restore_off=({"docker": info(swarm="active")}, {"live-restore": False}, {}),
    value_of_a_flag=({"flags": ["--log-level", "debug"]}, {"debug": True}, {}),
    value_like_a_key=({"flags": ["--label", "labels"]}, {"features": {}}, {}),
    longer_flag=({"flags": ["--live-restore-x"]}, {"live-restore": True}, {}),
)
def test_what_works_is_not_refused(given: Data, wanted: Data, foreign: Data) -> None:
    check(node(**given), wanted, foreign)


def test_a_member_of_a_runtime_in_another_case_is_refused() -> None:
    with pytest.raises(Problem, match=r"^/runtimes/x/Path is not a key.*use one of options, path"):
        check(node(), {"runtimes": {"x": {"Path": "/x"}}})


def test_a_default_runtime_that_is_not_registered_is_refused() -> None:
    with pytest.raises(Problem, match=r"^/default-runtime is not registered, got runsc; "):
        check(node(), {"default-runtime": "runsc"}, {"runtimes": {"net": RUNSC}})


@table("socket", var="/var/run/docker.sock", run="/run/docker.sock")
def test_a_default_runtime_that_takes_docker_sock_from_a_container_is_refused_by_its_name(
    socket: str,
) -> None:
    found = node(containers=[Running("app"), Running("coolify-proxy", mounts=("/data", socket))])

    with pytest.raises(Problem, match=r"docker\.sock.*got runsc with coolify-proxy; "):
        check(found, {**RUNTIME, "default-runtime": "runsc"})


def test_live_restore_is_refused_in_swarm_mode() -> None:
    with pytest.raises(Problem, match=r"^/live-restore cannot be used in swarm mode; "):
        check(node(docker=info(swarm="pending")), {"live-restore": True})


@table(
    "flags, key, value",
    same_name=(["--live-restore"], "live-restore", True),
    with_value=(["--userland-proxy=false"], "userland-proxy", False),
    singular=(["--log-opt", "max-size=10m"], "log-opts", {"max-size": "5m"}),
    labels=(["--label=a"], "labels", ["b"]),
    mirrors=(["--registry-mirror", "https://x"], "registry-mirrors", []),
    add_runtime=(["--add-runtime=x=/x"], "runtimes", {"runsc": RUNSC}),
    short=(["-D"], "debug", True),
    short_with_word=(["-H", "fd://"], "hosts", ["fd://"]),
    short_run_together=(["-Hfd://"], "hosts", ["fd://"]),
    short_log_level=(["-l", "warn"], "log-level", "info"),
)
def test_a_key_that_dockerds_own_flag_sets_is_refused(
    flags: list[str], key: str, value: Json
) -> None:
    with pytest.raises(Problem, match=f"^/{key} is also set by the flag --"):
        check(node(flags=flags), {key: value})


def test_a_flag_says_whether_dockerd_has_it_now_or_from_its_next_start_on() -> None:
    unit = in_base64("ExecStart=/usr/sbin/dockerd --icc=false")

    with pytest.raises(Problem, match=r"--icc in docker\.service for its next start"):
        check(node(unit=unit), {"icc": False})
    with pytest.raises(Problem, match="--icc of the running dockerd"):
        check(node(unit=unit, flags=["--icc=false"]), {"icc": False})


def busy(**given: Any) -> Node:
    """A node on which a container runs."""
    return node(containers=[Running("app")], **given)


@table(
    "given, why",
    swarm=({"docker": info(swarm="active")}, "in a swarm, got app; "),
    flag=({"flags": ["--live-restore=false"]}, "--live-restore=false, got app; "),
)
def test_a_restart_that_would_end_running_containers_is_refused_by_their_names(
    given: dict[str, Any], why: str
) -> None:
    with pytest.raises(Problem, match=f"would end running containers.*{why}"):
        plan_daemon_json(busy(**given), PROXY_OFF)


def test_what_stays_owed_ends_no_container_and_is_not_refused() -> None:
    found = busy(docker=info(swarm="active"))

    assert plan_daemon_json(found, PROXY_OFF, restart="reload").unapplied == ("/userland-proxy",)


@table(
    "found, wanted",
    live_restore_can_be_switched_on=(busy(), {**PROXY_OFF, "live-restore": False}),
    by_flag=(busy(flags=["--live-restore"], docker=info(live_restore=True)), PROXY_OFF),
    nothing_runs=(node(docker=info(swarm="active")), PROXY_OFF),
    a_reload=(busy(docker=info(swarm="active")), {"labels": ["a=b"]}),
)
def test_a_change_that_stops_no_container_is_not_refused(found: Node, wanted: Data) -> None:
    assert plan_daemon_json(found, wanted).changes


@table(
    "given, can",
    plain=({}, True),
    down=({"without": ("info", "dockerd", "clock")}, True),
    swarm=({"docker": info(swarm="active")}, False),
    a_flag_that_the_file_may_not_repeat=({"flags": ["--live-restore"]}, False),
    flag_of_the_next_start=({"unit": in_base64("ExecStart=dockerd --live-restore=false")}, False),
)
def test_whether_the_file_may_switch_live_restore_on_depends_on_the_node(
    given: dict[str, Any], can: bool
) -> None:
    assert can_live_restore(node(**given)) is can


MOVED: dict[str, Json] = {"data-root": "/srv/docker"}
BUSY = [Running("app"), Running("job")]
STORE: dict[str, Json] = {"features": {"containerd-snapshotter": True}}
CONTAINERDS: Json = [["driver-type", "io.containerd.snapshotter.v1"]]


@pytest.mark.parametrize(
    "path", [pytest.param(path, id="-".join(path)) for path in sorted(CONTAINERS_HOME)]
)
def test_a_new_home_is_refused_by_the_names_of_those_who_live_in_the_old_one(path: Path) -> None:
    found = node(containers=BUSY)
    home: Json = "other"
    for name in reversed(path):
        home = {name: home}
    assert isinstance(home, dict)

    with pytest.raises(
        Problem, match=f"^the change of {pointer(path)} would unmount .*, got app, job; "
    ):
        refuse_moving(found, {"dns": []}, {"dns": [], **home})
    refuse_moving(found, home, {"dns": [], **home})


def test_another_feature_is_no_move() -> None:
    found = node(containers=BUSY, daemon_json='{"features": {"containerd-snapshotter": true}}')

    assert plan_daemon_json(found, {"features": {"containerd-migration": True}}).changes


@table(
    "before, wanted, status, refused",
    named_as_in_use=({}, STORE, CONTAINERDS, False),
    graph_driver_in_use=({}, STORE, [["Backing Filesystem", "extfs"]], True),
    driver_without_status=({}, STORE, None, True),
    left_to_docker_again=(STORE, {}, CONTAINERDS, True),
)
def test_to_name_the_image_store_that_docker_has_chosen_itself_is_no_move(
    before: dict[str, Json], wanted: dict[str, Json], status: Json, *, refused: bool
) -> None:
    given = after(plan_daemon_json(node(), before))
    given["docker"] = info(ServerVersion="29.7.1", Driver="overlayfs", DriverStatus=status)

    with pytest.raises(Problem, match="would unmount") if refused else nullcontext():
        plan_daemon_json(node(**given, containers=BUSY), wanted)


@table(
    "given, wanted",
    a_setting=({}, MOVED),
    a_removal=(after(plan_daemon_json(node(), MOVED)), {}),
)
def test_the_refusal_says_who_lives_there_and_what_is_possible(given: Data, wanted: Data) -> None:
    with pytest.raises(Problem) as refused:
        plan_daemon_json(node(**given, containers=BUSY), wanted)

    assert str(refused.value) == (
        "the change of /data-root would unmount the files of running containers and break exec, "
        "got app, job; stop these containers first, because Docker does not migrate them; or "
        "declare the old value in gvisor_daemon_json"
    )


@table(
    "containers, before, restart",
    nobody_lives_there=([], {}, "auto"),
    it_is_there_already=(BUSY, MOVED, "auto"),
    left_owed=(BUSY, {}, "reload"),
)
def test_a_home_that_does_not_change_under_anybody_is_not_refused(
    containers: list[Running], before: dict[str, Json], restart: Restart
) -> None:
    found = node(containers=containers, daemon_json=json.dumps(before))

    assert plan_daemon_json(found, MOVED, restart=restart).changes
