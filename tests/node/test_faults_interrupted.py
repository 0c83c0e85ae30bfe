"""A change that is interrupted at any step: its controller, its connection, its script, power."""

from typing import Any

import pytest

from tests.node.faults import PENDING, Faults, reloading, restarting, wait_for
from tests.node.turns import of_turn
from tests.table import table

pytestmark = pytest.mark.slow


# A boot puts the old file back, or finishes; by these it chooses which, and files differ.
at_boot = table(
    "change, step",
    of_turn(
        {
            "reload-write": (reloading, "write"),
            "restart-look": (restarting, "look"),
            "restart-done": (restarting, "done"),
        }
    ),
)
# By these the next run chooses how to end what a dead script has left, of a dockerd that differs.
killed = table(
    "change, step",
    of_turn(
        {
            "reload-look": (reloading, "look"),
            "restart-restart-after": (restarting, "restart after"),
            "restart-look": (restarting, "look"),
            "restart-done": (restarting, "done"),
        }
    ),
)


@killed
def test_a_script_that_is_killed_is_undone_or_finished_by_the_next_run(
    faults: Faults, change: Any, step: str
) -> None:
    wanted = change(faults.before)
    controller = faults.start(wanted, step=step)

    faults.node.exec("sh", "-c", "systemctl kill -s KILL 'pyinfra-gvisor-*'; rm /run/at-step")
    controller.wait(timeout=60)

    faults.assert_sound(wanted)


# What the controller has started runs on its own, the same at each step.
def test_a_lost_connection_changes_nothing_about_the_outcome(faults: Faults) -> None:
    wanted = restarting(faults.before)
    controller = faults.start(wanted, step="restart after")

    faults.node.exec("pkill", "-KILL", "-f", "^sshd(-session)?: debian")
    faults.go_on()

    assert controller.wait(timeout=60) == 1
    wait_for(faults.node, "! test -e /var/lib/pyinfra-gvisor/pending")
    wait_for(faults.node, "test -e /var/lib/pyinfra-gvisor/unheard")
    faults.assert_sound(wanted)


@at_boot
def test_a_power_cut_leaves_the_old_or_the_new_configuration(
    plain: Faults, change: Any, step: str
) -> None:
    faults = plain
    wanted = change(faults.before)
    controller = faults.start(wanted, step=step)

    faults.cut_power(controller)

    assert faults.node.exec("test", "-e", PENDING).code == 1, "undone or finished at boot"
    faults.assert_sound(wanted)
