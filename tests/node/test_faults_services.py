"""The whole transaction where no systemd runs dockerd: changed, undone, and cut off by power."""

from collections.abc import Callable, Iterator

import pytest

from tests.node.audits import sh
from tests.node.containers import remove_container, start_container
from tests.node.faults import COLD_START, PENDING, Faults, live, restarting, wait_for
from tests.node.transactions import last_run

pytestmark = pytest.mark.slow

BY_HAND = """
systemctl stop docker.socket docker.service
setsid dockerd > /root/dockerd.log 2>&1 < /dev/null &
"""
UNDER_SYSTEMD = """
pid=$(cat /run/docker.pid) && kill "$pid"
while [ -e "/proc/$pid/exe" ]; do sleep 0.1; done
rm /root/dockerd.log
systemctl reset-failed docker.service
systemctl start docker.socket docker.service
"""


@pytest.fixture(scope="module", params=["sysvinit", "process"])
def elsewhere(request: pytest.FixtureRequest, broken: Callable[[str], Faults]) -> Iterator[Faults]:
    """A node whose dockerd an init script or a person has started, with a container."""
    by_hand = request.param == "process"
    faults = broken("plain" if by_hand else "sysvinit")
    if by_hand:
        sh(faults.node, BY_HAND)
        wait_for(faults.node, "docker version")
    start_container(faults.node, "kept")
    yield faults
    remove_container(faults.node, "kept")
    if by_hand:
        faults.node.exec("sh", "-c", UNDER_SYSTEMD)


# It reloads, too: before the restart and after it, for live-restore.
def test_a_change_is_done_and_ends_no_container(elsewhere: Faults) -> None:
    elsewhere.remember()
    wanted = restarting(elsewhere.before)

    outcome = elsewhere.run(wanted)

    assert outcome.code == 0, outcome.text
    elsewhere.assert_sound(wanted)


def test_after_a_power_cut_the_next_run_ends_what_was_begun(
    broken: Callable[[str], Faults],
) -> None:
    faults = broken("sysvinit")
    wanted = restarting(faults.before)
    controller = faults.start(wanted, step="switch live-restore off")

    faults.cut_power(controller)

    assert faults.node.exec("test", "-e", PENDING).code == 0
    ended = faults.run(wanted)
    said = "an earlier change was interrupted; this run finishes or undoes it first"
    assert said in ended.stderr
    assert "the earlier change is reverted" in ended.stderr
    faults.assert_sound(wanted)


def test_a_dockerd_that_does_not_start_gets_its_old_file_back(elsewhere: Faults) -> None:
    elsewhere.remember()
    wanted = restarting(elsewhere.before)

    outcome = elsewhere.run({**wanted, **COLD_START})

    assert outcome.code == 1
    assert "dockerd did not start; rolling back" in outcome.stderr
    assert last_run(elsewhere.node)["result"] == "reverted"
    assert live(elsewhere.node) == elsewhere.before
    elsewhere.assert_sound(wanted)
