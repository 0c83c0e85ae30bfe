"""``parts/resolver/remove.sh``: nothing of it is left, whatever there was of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.resolver_host import METRICS, UNIT, Host

STOPPED = ["stop socket", "stop service"]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A node with a resolver that writes its counters."""
    host = Host(tmp_path)
    host.install(text=str(host.texts))
    for name in (METRICS, f".{METRICS}.new"):
        (host.texts / name).write_text("")
    host.told()
    return host


def test_nothing_is_left_and_a_second_removal_ends_well_too(host: Host) -> None:
    (host.units / f"{UNIT}.socket.new").write_text("of a run that was killed")
    (host.units / f"{UNIT}.service.new").write_text("of a run that was killed")

    ran, first, again, second = host.remove(), host.told(), host.remove(), host.told()

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert (again.returncode, again.stderr) == (0, "")
    assert host.files() == {}
    assert host.states() == {}
    assert not host.program.parent.exists()
    assert first == [*STOPPED, "daemon-reload"]
    assert second == ["daemon-reload"]


def test_what_else_lies_beside_it_is_left(host: Host) -> None:
    release = host.program.parent / "releases"
    release.mkdir()
    others = [host.texts / "other.prom", host.units / "other.socket", host.link.parent / "other"]
    for path in others:
        path.write_text("")

    ran = host.remove()

    assert ran.returncode == 0
    assert set(host.files()) == {str(path) for path in others}
    assert release.exists()
    assert not host.program.exists()


def test_units_that_failed_are_forgotten(host: Host) -> None:
    host.unit("socket", "inactive")
    host.unit("service", "failed")
    (host.root / "bin" / "systemctl").write_text(
        (host.root / "bin" / "systemctl").read_text().replace("stop) shift", "stop) exit 0; shift")
    )

    ran = host.remove()

    assert ran.returncode == 0
    assert host.told() == ["stop service", "reset-failed service", "daemon-reload"]


@pytest.mark.parametrize(
    "break_it",
    [
        pytest.param(lambda host: (host.units / f"{UNIT}.socket").unlink(), id="no-socket-unit"),
        pytest.param(lambda host: (host.units / f"{UNIT}.service").unlink(), id="no-service-unit"),
        pytest.param(lambda host: (host.program / "__main__.py").unlink(), id="no-program"),
        pytest.param(lambda host: host.link.unlink(), id="not-enabled"),
    ],
)
def test_a_part_of_it_goes_too_and_what_still_runs_is_stopped(host: Host, break_it: object) -> None:
    assert callable(break_it)
    break_it(host)
    (host.texts / METRICS).unlink()
    (host.texts / f".{METRICS}.new").unlink()

    ran = host.remove()

    assert (ran.returncode, ran.stderr) == (0, "")
    assert host.files() == {}
    assert host.states() == {}


@pytest.mark.parametrize(
    "step", [pytest.param("stop", id="stop"), pytest.param("daemon-reload", id="reload")]
)
def test_a_removal_that_breaks_off_is_told_and_the_next_one_ends_it(host: Host, step: str) -> None:
    broken = host.remove(breaks=step)

    again = host.remove()

    assert broken.returncode == 1
    assert f"no {step}" in broken.stderr
    assert again.returncode == 0
    assert (host.files(), host.states()) == ({}, {})


def test_a_unit_that_somebody_wrote_has_no_file_of_others_removed(host: Host) -> None:
    other = host.texts / "other.prom"
    other.write_text("")
    (host.units / f"{UNIT}.service").write_text(f"ExecStart=x --textfile={other}\n")

    ran = host.remove()

    assert ran.returncode == 0
    assert other.exists()


def test_its_addresses_go_and_others_stay(host: Host) -> None:
    host.addresses.write_text("192.0.2.53/32\n127.0.0.1/8\n")

    ran = host.remove()

    assert (ran.returncode, ran.stderr) == (0, "")
    assert host.addresses.read_text() == "127.0.0.1/8\n"
