"""What the lab builds: once, checked, and true to what it says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from pyinfra_gvisor.lab import parts
from pyinfra_gvisor.lab.kept import damage_of
from pyinfra_gvisor.lab.parts import DOCKER, GVISOR, RUNC, recipe_hash
from pyinfra_gvisor.lab.spec import OWN_ARCH, LabError
from pyinfra_gvisor.releases import ARCHES, parse_release
from pyinfra_gvisor.releases.known import floor
from pyinfra_gvisor.releases.lock import known
from tests.unit.lab_machine import ROOT_ONLY, Machine

pytestmark = ROOT_ONLY

_TAKE = """
import sys
from pathlib import Path
from pyinfra_gvisor.lab.cache import Cache
from pyinfra_gvisor.lab.parts import GVISOR, take
take(GVISOR, cache=Cache(Path(sys.argv[1])), tell=lambda line: None)
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with a Go that is new enough."""
    made = Machine(tmp_path, monkeypatch)
    made.have_go()
    return made


def test_a_part_is_built_once(machine: Machine) -> None:
    first, second = machine.take(), machine.take()

    assert first == second
    assert len(machine.builds) == len(GVISOR.programs)
    assert machine.told[0].startswith(f"building the {GVISOR} with go1.26.8, once")


def test_a_runsc_is_packed_as_the_official_archive_is(machine: Machine) -> None:
    home = machine.take()

    archive = parts.release_archive(home)
    with tarfile.open(archive) as packed:
        members = {member.name: (member.mode, member.uid) for member in packed.getmembers()}
    names = {"runsc", "containerd-shim-runsc-v1", "gvisor-bin/gvisor_sentry"}
    assert archive.parent.parent.name == GVISOR.release
    assert members == dict.fromkeys(names, (0o755, 0))
    assert {path.name for path in home.iterdir()} == {"part.json", "releases"}


def test_a_program_whose_module_replaces_others_is_built_in_a_module_of_the_labs(
    machine: Machine,
) -> None:
    home = machine.take(RUNC)

    assert (home / "runc").is_file()
    assert [build.split()[0] for build in machine.builds] == ["build"]


def test_what_is_missing_besides_go_is_named(machine: Machine) -> None:
    part = replace(RUNC, needs=("sh", "no-such-compiler", "/usr/include/no-such-header.h"))

    with pytest.raises(
        LabError, match=r"needs no-such-compiler, /usr/include/no-such-header.h, which"
    ):
        machine.take(part)


def test_a_build_of_gvisor_is_above_the_floor_and_not_in_the_lock() -> None:
    assert parse_release(GVISOR.release) >= floor()
    assert not any(known(GVISOR.release, arch) for arch in ARCHES)


def test_a_file_that_differs_in_one_byte_is_built_again(machine: Machine) -> None:
    home = machine.take(DOCKER)
    path = home / "dockerd"
    content = bytearray(path.read_bytes())
    content[7] ^= 1
    path.write_bytes(content)

    machine.take(DOCKER)

    assert damage_of(home) is None
    assert any(f"the {DOCKER} is damaged (sha256 of dockerd is " in line for line in machine.told)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        pytest.param("rm part.json", "part.json is missing", id="no-record"),
        pytest.param("rm dockerd", "dockerd is missing", id="no-program"),
        pytest.param("echo > part.json", "part.json cannot be read", id="an-empty-record"),
        pytest.param("echo '{\"files\": 1}' > part.json", "cannot be read", id="another-record"),
    ],
)
def test_what_is_missing_is_built_again(machine: Machine, damage: str, says: str) -> None:
    home = machine.take(DOCKER)
    subprocess.run(["sh", "-c", damage], cwd=home, check=True)

    machine.take(DOCKER)

    assert damage_of(home) is None
    assert any(says in line for line in machine.told)


def test_a_runsc_for_another_architecture_is_packed_under_its_name(machine: Machine) -> None:
    (other,) = {*ARCHES} - {OWN_ARCH}

    home = parts.take(GVISOR, arch=other, cache=machine.cache, tell=machine.told.append)

    assert parts.release_archive(home, arch=other).is_file()
    assert home != machine.take()
    assert machine.told[0].startswith(f"building the {GVISOR} for {other} with go")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"version": "v2.0.0"}, id="version"),
        pytest.param({"programs": DOCKER.programs[:1]}, id="programs"),
        pytest.param({"release": "20260905.0"}, id="release"),
    ],
)
def test_another_recipe_is_another_part(change: dict[str, object]) -> None:
    other = replace(DOCKER, **change)  # type: ignore[arg-type]

    assert recipe_hash(other, (1, 26, 8)) != recipe_hash(DOCKER, (1, 26, 8))


def test_another_go_builds_again_beside_what_others_use(machine: Machine) -> None:
    first = machine.take()
    machine.have_go("1.27.0")

    second = machine.take()

    assert first != second
    assert damage_of(first) is None


def test_two_at_once_build_once(machine: Machine) -> None:
    machine.have_go(do="sleep 0.3")

    with ThreadPoolExecutor(2) as pool:
        homes = set(pool.map(lambda _: machine.take(), range(2)))

    assert len(homes) == 1
    assert len(machine.builds) == len(GVISOR.programs)


def test_a_builder_that_was_killed_leaves_nothing_that_counts(machine: Machine) -> None:
    machine.have_go(do="sleep 60")
    command = [sys.executable, "-c", _TAKE, str(machine.cache.root)]
    builder = subprocess.Popen(command)
    until_s = time.monotonic() + 20
    while not machine.builds and time.monotonic() < until_s:
        time.sleep(0.05)
    assert machine.builds

    builder.send_signal(signal.SIGKILL)
    builder.wait()
    machine.have_go()
    home = machine.take()

    assert damage_of(home) is None
    assert [path.name for path in machine.cache.root.glob("build-*/")] == []


def test_a_build_that_fails_says_why_and_where_more_is(machine: Machine) -> None:
    machine.have_go(do='echo "go: module lookup disabled"; exit 1')

    with pytest.raises(
        LabError, match="go failed with exit code 1: go: module lookup disabled; see /"
    ):
        machine.take()

    assert not list(machine.cache.parts.glob("lab-build-*"))


def test_lab_down_keeps_what_took_minutes_to_build(machine: Machine) -> None:
    home = machine.take()
    (machine.cache.root / "labs").mkdir()

    machine.cache.clear()

    assert damage_of(home) is None
    assert os.listdir(machine.cache.root) == ["parts"]  # noqa: PTH208
