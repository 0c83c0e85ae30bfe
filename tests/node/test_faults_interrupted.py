"""A change that is interrupted at any step: its controller, its connection, its script, power."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from pyinfra_gvisor.lab import LabNode
from tests.node.faults import (
    RELOAD_STEPS,
    RESTART_STEPS,
    Faults,
    reloading,
    restarting,
    wait_for,
)
from tests.node.running import Fleet

STEPS = [
    *(
        pytest.param(reloading, step, id=f"reload-{step.replace(' ', '-')}")
        for step in RELOAD_STEPS
    ),
    *(
        pytest.param(restarting, step, id=f"restart-{step.replace(' ', '-')}")
        for step in RESTART_STEPS
    ),
]


@pytest.fixture
def faults(nodes: dict[str, LabNode], fleet: Fleet) -> Faults:
    found = Faults(fleet, "lived-in")
    found.remember()
    return found


@pytest.mark.parametrize(
    "change", [pytest.param(reloading, id="reload"), pytest.param(restarting, id="restart")]
)
def test_without_a_fault_it_is_simply_done(faults: Faults, change: Any) -> None:
    wanted = change(faults.before)

    outcome = faults.run(wanted)

    assert outcome.code == 0, outcome.text
    faults.assert_sound(wanted)


@pytest.mark.parametrize(("change", "step"), STEPS)
def test_a_killed_controller_changes_nothing_about_the_outcome(
    faults: Faults, change: Any, step: str
) -> None:
    wanted = change(faults.before)
    controller = faults.start(wanted, step=step)

    os.killpg(controller.pid, signal.SIGKILL)
    controller.wait()
    faults.go_on()

    wait_for(faults.node, "! test -e /var/lib/pyinfra-gvisor/pending")
    faults.assert_sound(wanted)


@pytest.mark.parametrize(("change", "step"), STEPS)
def test_a_script_that_is_killed_is_undone_or_finished_by_the_next_run(
    faults: Faults, change: Any, step: str
) -> None:
    wanted = change(faults.before)
    controller = faults.start(wanted, step=step)

    faults.node.exec("sh", "-c", "systemctl kill -s KILL 'pyinfra-gvisor-*'; rm /run/at-step")
    controller.wait(timeout=60)

    faults.assert_sound(wanted)
