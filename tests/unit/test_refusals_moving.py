"""What running containers live in is not moved away under them."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json, Path, pointer
from pyinfra_gvisor.daemon_json.plan import Restart, plan_daemon_json
from pyinfra_gvisor.daemon_json.refusals import CONTAINERS_HOME, refuse_moving
from tests.unit.answers import Running, after, info, node

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


@pytest.mark.parametrize(
    ("before", "wanted"),
    [
        pytest.param({}, {"containerd-snapshotter": True}, id="to-containerds-store"),
        pytest.param(
            {"containerd-snapshotter": True}, {"containerd-snapshotter": False}, id="back"
        ),
        pytest.param({}, {"embedded-containerd": True}, id="to-another-containerd"),
    ],
)
def test_another_image_store_is_refused_while_containers_run(
    before: dict[str, Json], wanted: dict[str, Json]
) -> None:
    found = node(containers=BUSY, daemon_json=json.dumps({"features": before}))

    with pytest.raises(
        Problem, match=r"^the change of /features/\S+ would unmount the files .*, got app, job; "
    ):
        plan_daemon_json(found, {"features": wanted})


@pytest.mark.parametrize(
    "features",
    [
        pytest.param({"buildkit": True}, id="another-member"),
        pytest.param({"containerd-migration": True}, id="which-waits-until-nobody-lives-there"),
    ],
)
def test_another_feature_is_no_move(features: dict[str, Json]) -> None:
    found = node(containers=BUSY, daemon_json='{"features": {"containerd-snapshotter": true}}')

    plan = plan_daemon_json(found, {"features": features})

    assert plan.changes


@pytest.mark.parametrize(
    ("status", "refused"),
    [
        pytest.param(CONTAINERDS, False, id="in-use"),
        pytest.param([["Backing Filesystem", "extfs"]], True, id="graph-driver-in-use"),
        pytest.param(None, True, id="driver-without-status"),
    ],
)
def test_to_name_the_image_store_that_docker_has_chosen_itself_is_no_move(
    status: Json, *, refused: bool
) -> None:
    docker = info(ServerVersion="29.7.1", Driver="overlayfs", DriverStatus=status)
    found = node(containers=BUSY, docker=docker)

    with pytest.raises(Problem, match="would unmount") if refused else nullcontext():
        plan_daemon_json(found, {"features": {"containerd-snapshotter": True}})


@pytest.mark.parametrize(
    "docker",
    [
        pytest.param(info(Driver="overlayfs", DriverStatus=CONTAINERDS), id="in-use"),
        pytest.param(info(), id="unknown"),
    ],
)
def test_to_leave_the_image_store_to_docker_again_is_a_move(docker: dict[str, Any]) -> None:
    given = after(plan_daemon_json(node(), {"features": {"containerd-snapshotter": True}}))

    with pytest.raises(
        Problem, match=r"^the change of /features/containerd-snapshotter would unmount the files"
    ):
        plan_daemon_json(node(**{**given, "docker": docker}, containers=BUSY), {})


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        pytest.param({}, MOVED, id="a-setting"),
        pytest.param(after(plan_daemon_json(node(), MOVED)), {}, id="a-removal"),
    ],
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


@pytest.mark.parametrize(
    ("containers", "before", "restart"),
    [
        pytest.param([], {}, "auto", id="nobody-lives-there"),
        pytest.param(BUSY, MOVED, "auto", id="it-is-there-already"),
        pytest.param(BUSY, {}, "reload", id="left-owed"),
    ],
)
def test_a_home_that_does_not_change_under_anybody_is_not_refused(
    containers: list[Running], before: dict[str, Json], restart: Restart
) -> None:
    found = node(containers=containers, daemon_json=json.dumps(before))

    plan = plan_daemon_json(found, MOVED, restart=restart)

    assert plan.changes
