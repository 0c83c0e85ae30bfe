"""What a node tells of the watch on it, told and read."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pyinfra_gvisor.node import parse_node
from pyinfra_gvisor.parts.watch.state import WatchState
from tests.unit.answers import answer
from tests.unit.node_script import Machine
from tests.unit.shells import stub


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A node on which Docker does not run, with a systemctl that knows one answer."""
    machine = Machine(tmp_path)
    stub(machine.path, "systemctl", f'echo "$*" >> {tmp_path}/asked; echo active')
    return machine


def install(machine: Machine) -> dict[str, Path]:
    """The files of a watch, with their names as content."""
    watch = machine.gvisor / "watch"
    unit = machine.units / "pyinfra-gvisor-watch"
    paths = [watch / "watch.pl", watch / "policy", Path(f"{unit}.service"), Path(f"{unit}.timer")]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
        path.chmod(0o640)
    return {path.name: path for path in paths}


def test_a_node_without_a_watch_has_none_and_systemd_is_not_asked(machine: Machine) -> None:
    found = machine.node().part(WatchState)

    assert found == WatchState()
    assert not found.there
    assert not (machine.root / "asked").exists()


def test_every_file_of_a_watch_is_told_with_sum_mode_and_owner(machine: Machine) -> None:
    paths = install(machine)

    found = machine.node().part(WatchState)

    assert found.there
    assert set(found.files) == {str(path) for path in paths.values()}
    policy = found.files[str(paths["policy"])]
    assert policy.sha256 == hashlib.sha256(b"policy").hexdigest()
    assert policy.mode == "640"
    assert policy.owner == f"{paths['policy'].stat().st_uid}:{paths['policy'].stat().st_gid}"


def test_a_timer_is_told_as_systemd_has_it(machine: Machine) -> None:
    paths = install(machine)
    wants = machine.units / "timers.target.wants"
    wants.mkdir()
    disabled = machine.node().part(WatchState)
    (wants / paths["pyinfra-gvisor-watch.timer"].name).symlink_to("nowhere")

    enabled = machine.node().part(WatchState)

    assert (disabled.timer, disabled.enabled) == ("active", False)
    assert (enabled.timer, enabled.enabled) == ("active", True)
    assert (machine.root / "asked").read_text() == "is-active pyinfra-gvisor-watch.timer\n" * 2


def test_a_part_of_a_watch_is_told_too(machine: Machine) -> None:
    paths = install(machine)
    paths["pyinfra-gvisor-watch.timer"].unlink()
    paths["policy"].unlink()

    found = machine.node().part(WatchState)

    assert {Path(path).name for path in found.files} == {"watch.pl", "pyinfra-gvisor-watch.service"}
    assert found.timer is None


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("watch sum", id="cut-short"),
        pytest.param("watch neither 1 /x", id="of-no-kind"),
        pytest.param("watch stat /x", id="no-path"),
    ],
)
def test_a_malformed_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="malformed"):
        parse_node([line, *answer()])
