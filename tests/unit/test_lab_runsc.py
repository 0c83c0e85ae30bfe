"""Which runsc a lab's nodes get, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyinfra_gvisor.lab import parts
from pyinfra_gvisor.lab.parts import GVISOR
from pyinfra_gvisor.lab.spec import LabError
from tests.unit.lab_machine import ROOT_ONLY, Machine

pytestmark = ROOT_ONLY


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with a Go that is new enough."""
    made = Machine(tmp_path, monkeypatch)
    made.have_go()
    return made


def test_every_path_into_a_build_of_gvisor_says_that_it_is_no_release(machine: Machine) -> None:
    source = str(machine.chosen().settings["gvisor_source"])

    assert f"/lab-build-gvisor.dev-gvisor@{GVISOR.version}-" in source
    assert source.endswith("/releases/release/{release}/{arch}/{file}")


def test_where_none_can_be_built_the_lab_says_loudly_that_it_takes_an_old_one(
    machine: Machine,
) -> None:
    machine.have_go(do='echo "go: module lookup disabled"; exit 1')

    chosen = machine.chosen()

    assert chosen.settings["gvisor_source"] == "debian"
    assert chosen.settings["gvisor_accept_risk"]
    assert machine.chosen() == chosen
    assert len(machine.builds) == 1, "the lab stays with what it said"
    warnings = [line for line in machine.told if line.startswith("WARNING: ")]
    assert "go: module lookup disabled" in warnings[0]
    assert "the nodes get Debian's runsc 20240729.0, which has known escapes" in warnings[1]


def test_one_that_has_to_be_built_is_never_replaced_by_another(machine: Machine) -> None:
    machine.have_go(do="exit 1")

    with pytest.raises(LabError, match="go failed with exit code 1"):
        machine.chosen(GVISOR_LAB_RUNSC="build")


def test_an_official_archive_is_taken_for_what_its_runsc_says(
    machine: Machine, tmp_path: Path
) -> None:
    archive = parts.release_archive(machine.take())

    chosen = machine.chosen(GVISOR_LAB_RUNSC=str(archive))

    assert chosen.release == GVISOR.release
    assert chosen.settings["gvisor_source"] == str(archive)
    assert "gvisor_accept_risk" not in chosen.settings


def test_an_official_archive_that_the_lock_knows_otherwise_is_refused(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = parts.release_archive(machine.take())
    monkeypatch.setattr("pyinfra_gvisor.lab.runsc.known", lambda *_: {"gvisor.tar.bz2": "a" * 128})

    with pytest.raises(LabError, match=r"sha512 of \S+ is [0-9a-f]{128}, expected a{128}"):
        machine.chosen(GVISOR_LAB_RUNSC=str(archive))


def test_an_official_archive_that_breaks_off_is_refused(machine: Machine, tmp_path: Path) -> None:
    whole = parts.release_archive(machine.take()).read_bytes()
    path = tmp_path / "gvisor.tar.bz2"
    path.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(LabError, match="expected an archive that contains runsc"):
        machine.chosen(GVISOR_LAB_RUNSC=str(path))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        pytest.param("official", "unknown value, got official; write build, debian", id="a-word"),
        pytest.param(
            "/nowhere/gvisor.tar.bz2", "expected an archive that contains runsc", id="no-file"
        ),
    ],
)
def test_a_runsc_that_is_none_is_refused(machine: Machine, asked: str, says: str) -> None:
    with pytest.raises(LabError, match=says):
        machine.chosen(GVISOR_LAB_RUNSC=asked)
