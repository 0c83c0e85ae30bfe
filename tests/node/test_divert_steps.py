"""
The place of runc, given and taken back, by runs that end before any single step of theirs.

A run is killed before a step. Then the node loses power as the run has left it, unless it did so
with the same files after an earlier step. Slow: run by ``make test-all``, and by whoever changes
``parts/divert/places.sh``, ``apply.sh``, ``repair.sh`` or ``remove.sh``.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pyinfra_gvisor.proof.judges import GVISOR_KERNEL
from tests.node.audits import sh
from tests.node.conftest import LAB, lab_of
from tests.node.dispatching import SPECS, Ground, prepare, start
from tests.node.divert_steps import Steps
from tests.node.faults import wait_for
from tests.node.running import Fleet
from tests.node.seeing import processes
from tests.node.test_divert import ASIDE, ORIGINAL, RUNC, run_of
from tests.table import table
from tools.lab import LabNode

pytestmark = pytest.mark.slow

KINDS = ("docker-26", "docker-29")
MOST_STEPS = 60
# All that a run writes to the disk.
DISK = f"/opt/gvisor/divert /etc/systemd/system /var/lib/dpkg/diversions {RUNC}*"


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


def on_disk(node: LabNode) -> str:
    """Return a checksum of what a power cut leaves of a run: paths, modes, links and contents."""
    return sh(node, f"tar --sort=name --mtime=@0 -c {DISK} | sha256sum")


def lose_power(node: LabNode) -> None:
    """Cut the power and boot again. What runs is started again too."""
    node.kill()
    node.start()
    wait_for(node, "docker exec runs true")


# One kind of node for each direction: the steps are the same with every Docker.
@table("kind, wanted", {"given": ("docker-26", True), "taken-back": ("docker-29", False)})
def test_a_run_that_ends_before_any_step_is_survived_and_finished_by_the_next(
    ground: Ground, kind: str, wanted: bool
) -> None:
    node = ground.nodes[kind]
    steps = Steps(node, {"gvisor_default": "sandbox-all"})
    original = node.exec("sh", "-c", ORIGINAL).stdout
    steps.prepare()
    seen, survived = [], set()

    for number in range(1, MOST_STEPS):
        steps.change(wanted=not wanted)
        running = processes(node)
        ended = steps.change(wanted=wanted, stop_at=number)
        is_whole(node)
        assert processes(node) == running
        if (disk := on_disk(node)) not in survived:
            lose_power(node)
            is_whole(node)
            survived.add(disk)
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
