"""``audit/state.sh``: what the node runs on."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyinfra_gvisor.base.scripts import script
from tests.unit.shells import replaced, run, stub, toolbox


@pytest.mark.parametrize(
    ("detects", "told"),
    [
        pytest.param("echo kvm", ["virtualization kvm"], id="virtual-machine"),
        pytest.param("echo docker", ["virtualization docker"], id="container"),
        pytest.param("echo none; exit 1", ["virtualization none"], id="server"),
    ],
)
def test_what_the_node_runs_on_is_told(detects: str, told: list[str], tmp_path: Path) -> None:
    path = toolbox(tmp_path / "bin")
    stub(path, "systemd-detect-virt", detects)

    ran = run(script("audit/state", observed=""), path=path)

    assert (ran.returncode, ran.stderr) == (0, "")
    assert [line for line in ran.stdout.splitlines() if line.startswith("virtual")] == told


@pytest.mark.parametrize(
    ("marked", "told"),
    [
        pytest.param(True, ["virtualization docker"], id="marked-by-docker"),
        pytest.param(False, [], id="nobody-knows"),
    ],
)
def test_without_systemd_a_container_is_known_by_dockers_mark(
    marked: bool, told: list[str], tmp_path: Path
) -> None:
    path, mark = toolbox(tmp_path / "bin"), tmp_path / "dockerenv"
    if marked:
        mark.touch()

    ran = run(replaced(script("audit/state", observed=""), {"/.dockerenv": mark}), path=path)

    assert (ran.returncode, ran.stderr) == (0, "")
    assert [line for line in ran.stdout.splitlines() if line.startswith("virtual")] == told
