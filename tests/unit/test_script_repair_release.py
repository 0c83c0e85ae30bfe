"""``releases/install.sh`` on a release that is there: what is not as it was is put right."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.file_server import FileServer, Served
from tests.unit.release_script import MEMBERS, PATH, RELEASE, RUNSC, Machine, archive
from tests.unit.shells import stub


@pytest.fixture
def server() -> Iterator[FileServer]:
    """A server on loopback."""
    with FileServer() as running:
        yield running


@pytest.fixture
def installed(tmp_path: Path, server: FileServer) -> Machine:
    """A node that has the release."""
    machine = Machine(tmp_path, server)
    machine.fetch()
    server.requests.clear()
    return machine


def _truncate(home: Path) -> None:
    (home / "runsc").write_bytes(RUNSC[:100])


def _delete(home: Path) -> None:
    (home / "gvisor-bin/gvisor_sentry").unlink()


def _add(home: Path) -> None:
    (home / "gvisor-bin" / "odd\nname").mkdir()
    (home / "gvisor-bin" / "odd\nname" / "x").write_text("x")


def _link_member(home: Path) -> None:
    (home / "containerd-shim-runsc-v1").unlink()
    (home / "containerd-shim-runsc-v1").symlink_to("/bin/sh")


def _link_directory(home: Path) -> None:
    shutil.rmtree(home / "gvisor-bin")
    (home / "gvisor-bin").symlink_to("/usr/bin")


def _directory_for_a_member(home: Path) -> None:
    (home / "runsc").unlink()
    (home / "runsc" / "x").mkdir(parents=True)


def _no_manifest(home: Path) -> None:
    (home / "manifest.json").unlink()


def _garbled_manifest(home: Path) -> None:
    (home / "manifest.json").write_text("{")


def _manifest_is_a_directory(home: Path) -> None:
    (home / "manifest.json").unlink()
    (home / "manifest.json" / "x").mkdir(parents=True)


@pytest.mark.parametrize(
    "damage",
    [
        _truncate,
        _delete,
        _add,
        _link_member,
        _link_directory,
        _directory_for_a_member,
        _no_manifest,
        _garbled_manifest,
        _manifest_is_a_directory,
    ],
)
def test_what_is_damaged_is_fetched_again_and_repaired(
    installed: Machine, damage: Callable[[Path], None]
) -> None:
    damage(installed.home)
    shim = installed.home / "gvisor-bin/gvisor_sentry"
    before = shim.stat().st_ino if shim.exists() and damage is _truncate else None

    said = installed.fetch()

    assert said == f"{RELEASE} is installed in {installed.home}\n"
    assert installed.is_whole()
    assert before in (None, shim.stat().st_ino)
    assert installed.fetch() == f"{RELEASE} is already installed\n"


@pytest.mark.parametrize(
    "mode", [pytest.param(0o644, id="not-executable"), pytest.param(0o4755, id="setuid")]
)
def test_other_modes_and_times_are_put_right_without_a_download(
    installed: Machine, mode: int
) -> None:
    (installed.home / "runsc").chmod(mode)
    (installed.home / "gvisor-bin").chmod(0o700)
    (installed.home / "gvisor-bin/gvisor_sentry").touch()

    said = installed.fetch()

    assert said == f"{RELEASE}: its files are verified and its permissions repaired\n"
    assert installed.is_whole()
    assert (installed.home / "runsc").stat().st_mode & 0o7777 == 0o755
    assert (installed.home / "gvisor-bin").stat().st_mode & 0o7777 == 0o755
    assert not installed.server.requests


def test_damage_stays_as_it_is_if_the_download_fails(installed: Machine) -> None:
    _truncate(installed.home)

    said = installed.fetch(Served(archive(), dies_always=10))

    assert "after 3 attempts; nothing was changed" in said
    assert (installed.home / "runsc").read_bytes() == RUNSC[:100]
    assert (installed.home / "gvisor-bin/gvisor_sentry").exists()
    assert installed.is_clean()


@pytest.mark.parametrize("damage", [_truncate, _no_manifest])
def test_whether_files_are_needed_at_all_can_be_asked_first(
    installed: Machine, damage: Callable[[Path], None]
) -> None:
    (installed.home / "runsc").chmod(0o600)

    assert installed.install(source="none").returncode == 0

    damage(installed.home)
    assert installed.install(source="none").returncode == 3


def test_a_release_that_is_not_the_pinned_one_is_fetched_though_it_is_as_it_was_installed(
    installed: Machine,
) -> None:
    before = {path: path.stat().st_ino for path in installed.home.rglob("*") if path.is_file()}
    other = archive({**MEMBERS, "containerd-shim-runsc-v1": b"#!/bin/sh\n# another\n"})

    said = installed.fetch(other, fresh="yes")

    after = {path: path.stat().st_ino for path in installed.home.rglob("*") if path.is_file()}
    changed = {path.name for path in before if after[path] != before[path]}
    assert said == f"{RELEASE} is installed in {installed.home}\n"
    assert installed.manifest()["sha512"] == {"gvisor.tar.bz2": hashlib.sha512(other).hexdigest()}
    assert changed == {"containerd-shim-runsc-v1", "manifest.json"}
    assert installed.fetch(other) == f"{RELEASE} is already installed\n"


def test_a_release_that_is_not_the_pinned_one_stays_if_the_pinned_one_does_not_come(
    installed: Machine,
) -> None:
    manifest = installed.manifest()
    url = f"http://127.0.0.1:{installed.server.port}{PATH}"

    ran = installed.install("gvisor.tar.bz2", "0" * 128, url, url, fresh="yes")

    assert ran.returncode == 1
    assert "nothing was changed" in ran.stderr
    assert installed.is_whole()
    assert installed.manifest() == manifest


@pytest.mark.parametrize("moves", range(6))
def test_a_repair_that_is_killed_leaves_a_runsc_and_the_next_one_ends_it(
    installed: Machine, moves: int
) -> None:
    for path in installed.home.rglob("*"):
        if path.is_file() and path.name != "manifest.json":
            path.write_bytes(path.read_bytes() + b"damage")
    mv = installed.root / "bin" / "mv"
    counter = installed.root / "moves"
    counter.write_text("x" * moves)
    real = mv.resolve()
    lines = (
        f"read -r left < {counter} || :",
        '[ -n "$left" ] || kill -9 "$PPID"',
        f'printf %s "${{left#x}}" > {counter}',
        f'exec {real} "$@"',
    )
    stub(mv.parent, "mv", "\n".join(lines))

    installed.fetch()
    runsc = (installed.home / "runsc").stat()
    mv.unlink()
    mv.symlink_to(real)
    installed.fetch()

    assert runsc.st_mode & 0o777 == 0o755
    assert installed.is_whole()
