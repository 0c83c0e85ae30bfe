"""``coolify/remove.sh``: what is mounted stays as long as it is needed, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyinfra_gvisor.coolify.files import (
    COMPOSE,
    ENTRY,
    KEEP_DIR,
    KEEPER,
    MOUNTED_DIR,
    MOUNTED_PATCHER,
    NAME,
    SERVICE,
    TIMER,
    idle_entry_text,
    patcher_text,
    paths,
)
from tests.unit.coolify_scripts import UNITS, Factory

THEIRS = "services:\n  coolify: {}\n"
MERGED = "services:\n  coolify:\n    volumes: []\n"
STOPPED = [f"disable --quiet --now {NAME}.timer", "daemon-reload"]


@pytest.fixture
def factory(tmp_path: Path) -> Factory:
    """A control host with our files and the timer on; the compose file has our mounts only."""
    found = Factory(tmp_path)
    ran = found.install(None, MERGED)
    assert ran.returncode == 0, ran.stderr
    wants = found.at(UNITS) / "timers.target.wants"
    wants.mkdir()
    (wants / f"{NAME}.timer").symlink_to(found.at(TIMER))
    (found.stubs / "systemctl").unlink()
    return found


def test_a_removal_leaves_nothing_and_a_second_one_ends_well_too(factory: Factory) -> None:
    for path in (TIMER, SERVICE):
        Path(f"{factory.at(path)}.new").write_text("of a run that was killed")

    ran = factory.remove(MERGED, None)
    told = factory.told("systemctl")
    again = factory.remove(None, None)

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert told == STOPPED
    assert (again.returncode, again.stderr) == (0, "")
    assert factory.files() == set()
    assert not factory.at(MOUNTED_DIR).exists()
    assert not factory.at(KEEP_DIR).parent.exists()


def test_what_is_mounted_stays_and_does_nothing(factory: Factory) -> None:
    ran = factory.remove(MERGED, None, mounted=True)
    again = factory.remove(None, None, mounted=True)

    assert (ran.returncode, again.returncode) == (0, 0)
    assert factory.files() == {ENTRY, MOUNTED_PATCHER}
    assert factory.at(ENTRY).read_text() == idle_entry_text()
    assert factory.at(MOUNTED_PATCHER).read_text() == patcher_text()


def test_once_it_is_no_longer_mounted_that_goes_too(factory: Factory) -> None:
    factory.remove(MERGED, None, mounted=True)

    ran = factory.remove(None, None)

    assert ran.returncode == 0
    assert factory.files() == set()


def test_a_text_of_others_is_given_back(factory: Factory) -> None:
    factory.compose.chmod(0o640)

    ran = factory.remove(MERGED, THEIRS)

    assert ran.returncode == 0
    assert factory.files() == {COMPOSE}
    assert factory.compose.read_text() == THEIRS
    assert factory.compose.stat().st_mode & 0o777 == 0o640


def test_compose_goes_first_then_the_timer_then_the_files(factory: Factory) -> None:
    seen = factory.stubs / "seen"
    there = " ".join(str(factory.at(path)) for path in (COMPOSE, *paths()))
    does = f'case "$1" in disable) for path in {there}; do [ ! -e $path ] || echo $path; done'
    factory.systemctl(does=f"{does} > {seen} ;; esac")

    factory.remove(MERGED, None)

    found = [path.removeprefix(str(factory.top)) for path in seen.read_text().splitlines()]
    assert found == list(paths())
    assert factory.files() == set()


def test_a_compose_that_refuses_leaves_the_timer_on_and_every_file_there(factory: Factory) -> None:
    factory.says("compose", "case \"$*\" in *.new*) echo 'no such service' >&2; exit 1 ;; esac")

    ran = factory.remove(MERGED, THEIRS)

    assert ran.returncode == 1
    assert "refuses the files with our change: no such service; nothing was changed\n" in ran.stderr
    assert factory.files() == {*paths(), COMPOSE, f"{UNITS}/timers.target.wants/{NAME}.timer"}
    assert factory.compose.read_text() == MERGED
    assert factory.told("systemctl") == []


def test_a_timer_that_somebody_removed_is_no_longer_enabled(factory: Factory) -> None:
    factory.at(TIMER).unlink()

    ran = factory.remove(MERGED, None)

    assert ran.returncode == 0
    assert not factory.state().timer_enabled
    assert factory.told("systemctl") == ["daemon-reload"]


def test_a_look_that_failed_is_forgotten(factory: Factory) -> None:
    factory.systemctl("failed")

    ran = factory.remove(MERGED, None)

    assert ran.returncode == 0
    assert factory.told("systemctl") == [
        STOPPED[0],
        f"reset-failed {NAME}.service",
        "daemon-reload",
    ]


def test_what_else_lies_beside_ours_stays(factory: Factory) -> None:
    others = [
        factory.at(path)
        for path in (
            f"{Path(KEEP_DIR).parent}/releases/20260928.0/runsc",
            f"{KEEP_DIR}-of-somebody",
            f"{MOUNTED_DIR}.old",
            f"{UNITS}/pyinfra-gvisor-watch.timer",
        )
    ]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("theirs")
    before = {path: info for path, info in factory.tree().items() if factory.at(path) in others}

    ran = factory.remove(MERGED, None)

    assert ran.returncode == 0
    assert KEEPER not in factory.files()
    assert {path: factory.tree()[path] for path in before} == before
    assert factory.files() == before.keys()
