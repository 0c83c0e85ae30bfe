"""
The place of runc, given and taken back, by runs that end before any single step of theirs.

Killed runs, and power cuts. Slow: run by ``make test-all``, and by whoever changes
``parts/divert/places.sh``, ``apply.sh``, ``repair.sh`` or ``remove.sh``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pyinfra_gvisor.lab import LabNode
from pyinfra_gvisor.proof.judges import GVISOR_KERNEL
from tests.node.audits import sh
from tests.node.conftest import LAB, lab_of
from tests.node.dispatching import SPECS, Ground, prepare, start
from tests.node.divert_steps import POWER, THERE, Steps
from tests.node.faults import wait_for
from tests.node.running import Fleet, processes
from tests.node.test_divert import ASIDE, ORIGINAL, RUNC, restart_docker, run_of

pytestmark = pytest.mark.slow

KINDS = ("docker-26", "docker-29")
MOST_STEPS = 60


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Nodes where gVisor is the default, and runc is runc."""
    with lab_of(f"{LAB}-steps", {kind: SPECS[kind] for kind in KINDS}) as made:
        ground = prepare(made, Fleet(made, tmp_path_factory.mktemp("steps")))
        ground.deploy(*KINDS, default="sandbox")
        for node in made.values():
            start(node, "runs", "--restart=unless-stopped")
        yield ground


def is_whole(node: LabNode) -> None:
    """Look whether runc answers, and what a container gets that asks for it."""
    told = sh(node, "runc --version | head -n 1; uname -v")
    ours = node.exec("grep", "-q", "pyinfra-gvisor has the place", RUNC).code == 0
    seen = run_of(node, "runc")
    expected = GVISOR_KERNEL if ours else told.splitlines()[1]
    assert told.startswith("runc version")
    assert seen == expected


def cut_power(node: LabNode, steps: Steps, *, wanted: bool, number: int) -> bool:
    """Cut the power before a step; return True if the change ended before it came to that."""
    sh(node, f": > {POWER}")
    ended: list[bool] = []

    def change() -> None:
        try:
            ended.append(steps.change(wanted=wanted, stop_at=number))
        except Exception:  # noqa: BLE001 - the node is gone
            ended.append(False)

    run = threading.Thread(target=change)
    run.start()
    while run.is_alive() and node.exec("test", "-e", THERE).code != 0:
        run.join(0.1)
    if not run.is_alive():
        sh(node, f"/usr/bin/rm -f {POWER}")
        return ended[0]
    node.kill()
    run.join()
    node.start()
    wait_for(node, "docker version > /dev/null")
    return False


@pytest.mark.parametrize("wanted", [True, False], ids=["given", "taken-back"])
def test_a_run_that_is_killed_before_any_step_is_finished_by_the_next(
    ground: Ground, wanted: bool
) -> None:
    node = ground.nodes["docker-26"]
    steps = Steps(node, {"gvisor_default": "sandbox-all"})
    original = node.exec("sh", "-c", ORIGINAL).stdout
    running = processes(node)["runs"]
    steps.prepare()
    seen = []

    for number in range(1, MOST_STEPS):
        steps.change(wanted=not wanted)
        ended = steps.change(wanted=wanted, stop_at=number)
        is_whole(node)
        restart_docker(node)
        is_whole(node)
        steps.change(wanted=wanted)
        seen.append((run_of(node, "runc"), steps.command(wanted=wanted)))
        if ended:
            break
    steps.change(wanted=False)
    steps.clean()

    assert ended
    assert len(seen) > 8
    kernel = GVISOR_KERNEL if wanted else sh(node, "uname -v").strip()
    assert set(seen) == {(kernel, ())}
    assert node.exec("sh", "-c", ORIGINAL).stdout == original
    assert processes(node)["runs"] == running


@pytest.mark.parametrize("wanted", [True, False], ids=["given", "taken-back"])
def test_a_power_cut_before_any_step_is_survived(ground: Ground, wanted: bool) -> None:
    node = ground.nodes["docker-29"]
    steps = Steps(node, {"gvisor_default": "sandbox-all"})
    original = node.exec("sh", "-c", ORIGINAL).stdout
    steps.prepare()
    seen = []

    for number in range(1, MOST_STEPS):
        steps.change(wanted=not wanted)
        ended = cut_power(node, steps, wanted=wanted, number=number)
        is_whole(node)
        steps.change(wanted=wanted)
        seen.append((run_of(node, "runc"), steps.command(wanted=wanted)))
        if ended:
            break
    steps.change(wanted=False)
    steps.clean()

    assert ended
    assert len(seen) > 8
    kernel = GVISOR_KERNEL if wanted else sh(node, "uname -v").strip()
    assert set(seen) == {(kernel, ())}
    assert node.exec("sh", "-c", ORIGINAL).stdout == original
    assert ASIDE not in original
