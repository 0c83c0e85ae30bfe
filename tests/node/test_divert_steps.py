"""
The place of runc, given and taken back, by runs that end before any single step of theirs.

A run is killed before a step. Then the node loses power as the run has left it, unless it did so
with the same files after an earlier step. Slow: run by ``make test-all``, and by whoever changes
``parts/divert/places.sh``, ``apply.sh``, ``repair.sh`` or ``remove.sh``.
"""

from collections.abc import Iterator

import pytest

from pyinfra_gvisor.proof.judges import GVISOR_KERNEL
from tests.node.audits import sh
from tests.node.conftest import LAB, lab_of
from tests.node.dispatching import DIVERTING, Ground, prepare, start
from tests.node.divert_steps import Steps
from tests.node.faults import wait_for
from tests.node.running import Fleet
from tests.node.seeing import processes
from tests.node.test_divert import ASIDE, ORIGINAL, RUNC, run_of
from tests.node.turns import steps_of_turn
from tools.lab import LabNode

pytestmark = pytest.mark.slow

KIND = "docker-26"  # the steps are the same with every Docker
MOST_STEPS = 60
# All that a run writes to the disk.
DISK = f"/opt/gvisor/divert /etc/systemd/system /var/lib/dpkg/diversions {RUNC}*"


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """A node where gVisor is the default, and runc is runc."""
    with lab_of(f"{LAB}-steps", {KIND: DIVERTING[KIND]}) as made:
        ground = prepare(made, Fleet(made, tmp_path_factory.mktemp("steps")))
        ground.deploy(KIND, default="sandbox", door="off")
        start(made[KIND], "runs", "--restart=unless-stopped")
        yield ground


def is_whole(node: LabNode) -> None:
    """Look whether runc answers, and what a container gets that asks for it."""
    told = sh(node, f"runc --version | head -n 1; uname -v; head -n 2 {RUNC} | tr -d '\\0'")
    assert told.startswith("runc version"), told
    seen = run_of(node, "runc")
    expected = GVISOR_KERNEL if "pyinfra-gvisor has the place" in told else told.splitlines()[1]
    assert seen == expected


def on_disk(node: LabNode) -> str:
    """Return a checksum of what a power cut leaves of a run: paths, modes, links and contents."""
    return sh(node, f"tar --sort=name --mtime=@0 -c {DISK} | sha256sum")


def lose_power(node: LabNode) -> dict[str, int]:
    """Cut the power, boot again, and look. Return what runs: it is started again too."""
    node.kill()
    node.start()
    wait_for(node, "docker exec runs true")
    is_whole(node)
    return processes(node)


def test_a_run_that_ends_before_any_step_is_survived_and_finished_by_the_next(
    ground: Ground,
) -> None:
    """The place is given and taken back in turn, each time with an end at a later step."""
    node = ground.nodes[KIND]
    steps = Steps(node, {"gvisor_default": "sandbox-all", "gvisor_door": "off"})
    original = node.exec("sh", "-c", ORIGINAL).stdout
    kernel = {True: GVISOR_KERNEL, False: sh(node, "uname -v").strip()}
    steps.prepare()
    commands, whole = {}, {}
    for wanted, expected in kernel.items():
        commands[wanted] = steps.command(wanted=wanted)
        steps.run(commands[wanted])
        whole[wanted] = on_disk(node)
        assert (run_of(node, "runc"), steps.command(wanted=wanted)) == (expected, ())
    running = processes(node)
    ended: dict[bool, int] = {}
    survived = set()

    for number in steps_of_turn(range(1, MOST_STEPS)):
        for wanted in kernel:
            if steps.run(commands[wanted], stop_at=number):
                ended.setdefault(wanted, number)
                continue
            is_whole(node)
            assert processes(node) == running
            if (disk := (wanted, on_disk(node))) not in survived:
                running = lose_power(node)
                survived.add(disk)
            steps.run(steps.command(wanted=wanted))
            assert on_disk(node) == whole[wanted]
        if len(ended) == len(kernel):
            break
    steps.clean()

    assert processes(node) == running
    assert ended.keys() == kernel.keys()
    assert min(ended.values()) > 8
    assert node.exec("sh", "-c", ORIGINAL).stdout == original
    assert ASIDE not in original
