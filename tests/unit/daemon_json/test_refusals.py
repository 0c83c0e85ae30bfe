"""What ``dockerd --validate`` lets through and cannot work is refused before it is written."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
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
from tests.table import table
from tests.unit.answers import RUNSC, UNIT_FLAGS, Running, after, info, node

RUNTIME: dict[str, Json] = {"runtimes": {"runsc": RUNSC}}
PROXY_OFF: dict[str, Json] = {"userland-proxy": False}


def check(found: Node, wanted: dict[str, Json], foreign: dict[str, Json] | None = None) -> None:
    """The rules on a file that holds ``wanted``, which is ours, and ``foreign``."""
    refuse(found, {**(foreign or {}), **wanted}, flatten(wanted))


@table(
    "wanted",
    {
        "nothing": {},
        "usual": {**RUNTIME, "live-restore": True, "userland-proxy": False},
        "default-runtime": {**RUNTIME, "default-runtime": "runsc"},
        "default-runc": {"default-runtime": "runc"},
        "shim": {"runtimes": {"x": {"runtimeType": "io.x.v1", "options": {}}}},
        "no-runtimes": {"runtimes": {}},
    },
)
def test_what_works_is_not_refused(wanted: dict[str, Json]) -> None:
    check(node(), wanted)


@table(
    "wanted, foreign",
    {
        "ours": ({"runtimes": {"runc": {"path": "/x"}}}, {}),
        "somebody-elses": ({}, {"runtimes": {"runc": {"path": "/x"}}}),
    },
)
def test_a_runtime_called_runc_is_refused(
    wanted: dict[str, Json], foreign: dict[str, Json]
) -> None:
    with pytest.raises(Problem, match=r"^/runtimes/runc is reserved"):
        check(node(), wanted, foreign)


@table(
    "entry, message",
    {
        "text": ("/x", "^/runtimes/runsc must be an object, got /x$"),
        "a-list": ([], r"^/runtimes/runsc must be an object, got \[\]$"),
        "args": ({"path": "/x", "args": []}, "^/runtimes/runsc/args is not a key of a runtime"),
        "case": ({"Path": "/x"}, "^/runtimes/runsc/Path is not a key.*use one of options, path"),
        "both": ({"path": "/x", "runtimeType": "y"}, "^/runtimes/runsc has both path and"),
    },
)
def test_a_runtime_that_dockerd_would_misread_is_refused(entry: Json, message: str) -> None:
    with pytest.raises(Problem, match=message):
        check(node(), {"runtimes": {"runsc": entry}})


def test_a_misspelt_runtime_of_somebody_else_is_theirs() -> None:
    check(node(), {}, {"runtimes": {"kata": {"path": "/k", "args": []}}})


@table(
    "runtimes",
    {"no-runtimes": {}, "another": {"runtimes": {"net": RUNSC}}, "a-list": {"runtimes": []}},
)
def test_a_default_runtime_that_is_not_registered_is_refused(runtimes: dict[str, Json]) -> None:
    with pytest.raises(Problem, match=r"^/default-runtime is not registered, got runsc; "):
        check(node(), {"default-runtime": "runsc"}, runtimes)


@table("socket", {"var": "/var/run/docker.sock", "run": "/run/docker.sock"})
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


@table("ours", {"ours": True, "theirs": False})
def test_a_default_runtime_that_docker_brings_itself_needs_no_entry(ours: bool) -> None:
    default: dict[str, Json] = {"default-runtime": "io.containerd.runc.v2"}

    check(node(), {**RUNTIME, **(default if ours else {})}, {} if ours else default)


def test_taking_away_the_runtime_that_somebody_made_the_default_is_refused() -> None:
    given = after(plan_daemon_json(node(), RUNTIME))
    given["daemon_json"] = given["daemon_json"].replace("{", '{"default-runtime": "runsc",', 1)
    given["docker"] = info(runtimes={"runsc": RUNSC}, default_runtime="runsc")

    with pytest.raises(Problem, match="default-runtime"):
        plan_daemon_json(node(**given), {})


@pytest.mark.parametrize("swarm", ["active", "pending"])
def test_live_restore_is_refused_in_swarm_mode(swarm: str) -> None:
    with pytest.raises(Problem, match=r"^/live-restore cannot be used in swarm mode; "):
        check(node(docker=info(swarm=swarm)), {"live-restore": True})


@table(
    "swarm, value",
    {
        "no-swarm": ("inactive", True),
        "unknown-to-old-docker": ("", True),
        "live-restore-off": ("active", False),
    },
)
def test_live_restore_is_only_refused_with_swarm(swarm: str, value: bool) -> None:
    check(node(docker=info(swarm=swarm)), {"live-restore": value})


@table(
    "flags, key, value",
    {
        "same-name": (["--live-restore"], "live-restore", True),
        "with-value": (["--userland-proxy=false"], "userland-proxy", False),
        "singular": (["--log-opt", "max-size=10m"], "log-opts", {"max-size": "5m"}),
        "labels": (["--label=a"], "labels", ["b"]),
        "mirrors": (["--registry-mirror", "https://x"], "registry-mirrors", []),
        "add-runtime": (["--add-runtime=x=/x"], "runtimes", {"runsc": RUNSC}),
        "short": (["-D"], "debug", True),
        "short-with-word": (["-H", "fd://"], "hosts", ["fd://"]),
        "short-run-together": (["-Hfd://"], "hosts", ["fd://"]),
        "short-log-level": (["-l", "warn"], "log-level", "info"),
    },
)
def test_a_key_that_dockerds_own_flag_sets_is_refused(
    flags: list[str], key: str, value: Json
) -> None:
    with pytest.raises(Problem, match=f"^/{key} is also set by the flag --"):
        check(node(flags=flags), {key: value})


@table(
    "flags, key, value",
    {
        "debians-unit": (UNIT_FLAGS, "live-restore", True),
        "a-flags-value-is-no-flag": (["--log-level", "debug"], "debug", True),
        "value-like-a-key": (["--label", "labels"], "features", {}),
        "longer-name": (["--live-restore-x"], "live-restore", True),
        "no-flags": ([], "debug", True),
    },
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


@table(
    "given, why",
    {
        "swarm": ({"docker": info(swarm="active")}, "in a swarm, got app; "),
        "joining": ({"docker": info(swarm="pending")}, "in a swarm, got app; "),
        "flag": ({"flags": ["--live-restore=false"]}, "--live-restore=false, got app; "),
        "flag-of-the-next-start": (
            {"unit": base64.b64encode(b"ExecStart=dockerd --live-restore=false").decode()},
            "--live-restore=false, got app; ",
        ),
    },
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


@table(
    "found, wanted",
    {
        "made-live-first": (busy(), {**PROXY_OFF, "live-restore": True}),
        "live-already": (
            busy(daemon_json='{"live-restore": true}', docker=info(live_restore=True)),
            PROXY_OFF,
        ),
        "not-asked-for": (busy(), PROXY_OFF),
        "asked-to-be-off": (busy(), {**PROXY_OFF, "live-restore": False}),
        "by-flag": (busy(flags=["--live-restore"], docker=info(live_restore=True)), PROXY_OFF),
        "nothing-runs": (node(), PROXY_OFF),
        "nothing-runs-in-a-swarm": (node(docker=info(swarm="active")), PROXY_OFF),
        "a-reload": (busy(), {"labels": ["a=b"]}),
    },
)
def test_a_change_that_stops_no_container_is_not_refused(
    found: Node, wanted: dict[str, Json]
) -> None:
    assert plan_daemon_json(found, wanted).changes


def test_a_removal_whose_restart_would_end_running_containers_is_refused() -> None:
    given = after(plan_daemon_json(node(), PROXY_OFF))

    with pytest.raises(Problem, match="would end running containers"):
        plan_daemon_json(busy(**{**given, "docker": info(swarm="active")}), {})


@table(
    "given, can",
    {
        "plain": ({}, True),
        "live-already": ({"docker": info(live_restore=True)}, True),
        "down": ({"without": ("info", "dockerd", "clock")}, True),
        "swarm": ({"docker": info(swarm="active")}, False),
        "a-flag-that-the-file-may-not-repeat": ({"flags": ["--live-restore"]}, False),
        "switched-off-by-flag": ({"flags": ["--live-restore=false"]}, False),
    },
)
def test_whether_the_file_may_switch_live_restore_on_depends_on_the_node(
    given: dict[str, Any], can: bool
) -> None:
    assert can_live_restore(node(**given)) is can


MOVED: dict[str, Json] = {"data-root": "/srv/docker"}
BUSY = [Running("app"), Running("job")]
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


@table(
    "before, wanted",
    {
        "to-containerds-store": ({}, {"containerd-snapshotter": True}),
        "back": ({"containerd-snapshotter": True}, {"containerd-snapshotter": False}),
        "to-another-containerd": ({}, {"embedded-containerd": True}),
    },
)
def test_another_image_store_is_refused_while_containers_run(
    before: dict[str, Json], wanted: dict[str, Json]
) -> None:
    found = node(containers=BUSY, daemon_json=json.dumps({"features": before}))

    with pytest.raises(
        Problem, match=r"^the change of /features/\S+ would unmount the files .*, got app, job; "
    ):
        plan_daemon_json(found, {"features": wanted})


@table(
    "features",
    {
        "another-member": {"buildkit": True},
        "which-waits-until-nobody-lives-there": {"containerd-migration": True},
    },
)
def test_another_feature_is_no_move(features: dict[str, Json]) -> None:
    found = node(containers=BUSY, daemon_json='{"features": {"containerd-snapshotter": true}}')

    plan = plan_daemon_json(found, {"features": features})

    assert plan.changes


@table(
    "status, refused",
    {
        "in-use": (CONTAINERDS, False),
        "graph-driver-in-use": ([["Backing Filesystem", "extfs"]], True),
        "driver-without-status": (None, True),
    },
)
def test_to_name_the_image_store_that_docker_has_chosen_itself_is_no_move(
    status: Json, *, refused: bool
) -> None:
    docker = info(ServerVersion="29.7.1", Driver="overlayfs", DriverStatus=status)
    found = node(containers=BUSY, docker=docker)

    with pytest.raises(Problem, match="would unmount") if refused else nullcontext():
        plan_daemon_json(found, {"features": {"containerd-snapshotter": True}})


@table("docker", {"in-use": info(Driver="overlayfs", DriverStatus=CONTAINERDS), "unknown": info()})
def test_to_leave_the_image_store_to_docker_again_is_a_move(docker: dict[str, Any]) -> None:
    given = after(plan_daemon_json(node(), {"features": {"containerd-snapshotter": True}}))

    with pytest.raises(
        Problem, match=r"^the change of /features/containerd-snapshotter would unmount the files"
    ):
        plan_daemon_json(node(**{**given, "docker": docker}, containers=BUSY), {})


@table(
    "given, wanted",
    {"a-setting": ({}, MOVED), "a-removal": (after(plan_daemon_json(node(), MOVED)), {})},
)
def test_the_refusal_says_who_lives_there_and_what_is_possible(
    given: dict[str, Any], wanted: dict[str, Json]
) -> None:
    with pytest.raises(Problem) as refused:
        plan_daemon_json(node(**given, containers=BUSY), wanted)

    assert str(refused.value) == (
        "the change of /data-root would unmount the files of running containers and break exec, "
        "got app, job; stop these containers first, because Docker does not migrate them; or, with "
        "deploys/gvisor.py, declare the old value"
    )


def test_going_back_to_the_old_home_is_a_move_too() -> None:
    given = after(plan_daemon_json(node(), MOVED))

    with pytest.raises(Problem, match=r"^the change of /data-root would unmount the files"):
        plan_daemon_json(node(**given, containers=BUSY), {})


@table(
    "containers, before, restart",
    {
        "nobody-lives-there": ([], {}, "auto"),
        "it-is-there-already": (BUSY, MOVED, "auto"),
        "left-owed": (BUSY, {}, "reload"),
    },
)
def test_a_home_that_does_not_change_under_anybody_is_not_refused(
    containers: list[Running], before: dict[str, Json], restart: Restart
) -> None:
    found = node(containers=containers, daemon_json=json.dumps(before))

    plan = plan_daemon_json(found, MOVED, restart=restart)

    assert plan.changes
