"""The firewall's rules when the controller has come back to confirm them, and when it is late."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.egress_host import KEPT, TIMER, UNIT, Host


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A node without a firewall."""
    return Host(tmp_path)


@pytest.fixture
def guarded(host: Host) -> Host:
    """A node on which the rules called old are in force."""
    host.has("old")
    return host


def test_confirmed_rules_are_there_as_they_were_sent_and_stay_over_a_reboot(host: Host) -> None:
    host.load_on_probation()

    ran = host.confirm()

    assert (ran.returncode, ran.stderr) == (0, "")
    assert host.files() == KEPT
    assert host.rules.read_text() == "new"
    assert host.asked("systemctl") == [
        "daemon-reload",
        f"enable --quiet {UNIT}",
        f"stop {TIMER}",
        f"start {UNIT}",
    ]


def test_a_unit_that_is_active_is_reloaded_since_a_restart_would_be_without_rules(
    guarded: Host,
) -> None:
    guarded.load_on_probation()

    ran = guarded.confirm()

    assert ran.returncode == 0
    assert guarded.asked("systemctl")[-1] == f"reload {UNIT}"
    assert f"start {UNIT}" not in guarded.asked("systemctl")


def test_behind_a_confirmation_the_timer_finds_nothing_to_take_back(guarded: Host) -> None:
    guarded.load_on_probation()
    guarded.confirm()

    ran = guarded.revert()

    assert (ran.returncode, ran.stdout) == (0, "")
    assert (guarded.table.read_text(), guarded.rules.read_text()) == ("new", "new")


def test_a_confirmation_that_fails_on_its_way_leaves_what_can_be_taken_back(guarded: Host) -> None:
    guarded.load_on_probation()
    (guarded.root / "refuses-enable").touch()

    ran = guarded.confirm()
    undone = guarded.undo()

    assert (ran.returncode, ran.stderr) == (1, "read-only file system\n")
    assert undone.returncode == 0
    assert (guarded.table.read_text(), guarded.rules.read_text()) == ("old", "old")
    assert guarded.state(TIMER) is None


def test_what_is_confirmed_or_taken_back_by_now_is_not_said_to_be_taken_back(host: Host) -> None:
    host.has("new")

    ran = host.undo()

    assert (ran.returncode, ran.stdout) == (1, "")
    assert (host.table.read_text(), host.rules.read_text()) == ("new", "new")


def test_rules_that_were_taken_back_cannot_be_confirmed(guarded: Host) -> None:
    guarded.load_on_probation()
    guarded.revert()

    ran = guarded.confirm()

    assert ran.returncode == 1
    assert ran.stderr == (
        f"egress.rules: {guarded.rules} on run-1: the new rules were rolled back before they were "
        "confirmed; raise confirm_s in gvisor_egress\n"
    )
    assert guarded.rules.read_text() == "old"
    assert guarded.asked("systemctl") == []
