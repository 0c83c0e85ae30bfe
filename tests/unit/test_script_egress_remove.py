"""The removal of the firewall: nothing of it stays, and nobody else's is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.egress_host import TIMER, UNIT, Host


@pytest.fixture
def guarded(tmp_path: Path) -> Host:
    """A node on which a firewall is in force."""
    host = Host(tmp_path)
    host.has("old")
    return host


def test_nothing_of_it_stays_and_a_second_time_ends_well_too(guarded: Host) -> None:
    ran, again = guarded.remove(), guarded.remove()

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert (again.returncode, again.stderr) == (0, "")
    assert guarded.files() == {}
    assert not guarded.table.exists()
    assert not guarded.egress.parent.exists()
    assert not guarded.loaded.parent.exists()
    assert guarded.asked("systemctl") == [f"disable --quiet --now {UNIT}", "daemon-reload"]


def test_rules_on_probation_go_with_their_timer(guarded: Host) -> None:
    guarded.load_on_probation()

    ran = guarded.remove()

    assert ran.returncode == 0
    assert guarded.asked("systemctl")[0] == f"stop {TIMER}"
    assert (guarded.state(TIMER), guarded.files(), guarded.table.exists()) == (None, {}, False)


def test_a_unit_that_failed_is_forgotten(guarded: Host) -> None:
    (guarded.units / UNIT).unlink()
    guarded.unit(UNIT, "failed")

    ran = guarded.remove()

    assert ran.returncode == 0
    assert guarded.asked("systemctl") == [f"reset-failed {UNIT}"]
    assert guarded.state(UNIT) is None


@pytest.mark.parametrize(
    "left",
    [
        pytest.param(("table",), id="a-table"),
        pytest.param(("gvisor/egress/load.sh",), id="a-file"),
        pytest.param((f"units/{UNIT}",), id="a-unit"),
        pytest.param((f"units/sysinit.target.wants/{UNIT}",), id="a-link-to-nothing"),
    ],
)
def test_what_is_left_of_one_goes_too(tmp_path: Path, left: tuple[str, ...]) -> None:
    host = Host(tmp_path)
    for name in left:
        path = host.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if "wants" in name:
            path.symlink_to("../nowhere")
        else:
            path.write_text("left")

    ran = host.remove()

    assert (ran.returncode, ran.stderr) == (0, "")
    assert (host.files(), host.table.exists()) == ({}, False)


def test_without_nft_the_files_go_all_the_same(guarded: Host) -> None:
    (guarded.path / "nft").unlink()

    ran = guarded.remove()

    assert ran.returncode == 0
    assert guarded.files() == {}


def test_what_else_lies_beside_it_stays(guarded: Host) -> None:
    release = guarded.egress.parent / "releases"
    release.mkdir()
    (guarded.units / "other.service").touch()

    ran = guarded.remove()

    assert ran.returncode == 0
    assert release.exists()
    assert guarded.files() == {"units/other.service": "644"}
