"""``holder.sh``: who holds a lock, told to the run that waits in vain."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyinfra_gvisor.base.scripts import script
from tests.unit.releases.file_server import FileServer
from tests.unit.releases.release_script import TOOLS, Machine
from tests.unit.shells import run, stub, toolbox

TAKE = "exec 9>> {lock} && flock 9 && echo taken && exec sleep 60"
STARTED = r"started \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC,"


@contextmanager
def holding(lock: Path) -> Iterator[int]:
    """A process that holds a lock, as a shell script takes one; yields its PID."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    command = ["sh", "-c", TAKE.format(lock=lock)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "taken\n"
            time.sleep(0.05)  # starts are told apart by hundredths of a second
            yield process.pid
        finally:
            process.kill()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A small node's programs."""
    return toolbox(tmp_path / "bin")


def asked(lock: Path, path: Path) -> str:
    """What a script says that waits for the lock itself."""
    text = f"set -eu\n{script('base/holder')}\nexec 9>> {lock}\nholder {lock}\n"
    ran = run(text, path=path)
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout.rstrip("\n")


def test_the_process_that_holds_a_lock_is_named_with_its_start(tmp_path: Path, path: Path) -> None:
    with holding(tmp_path / "lock") as pid:
        said = asked(tmp_path / "lock", path)

    assert re.fullmatch(rf"process {pid}( of user \S+)?, {STARTED}", said), said


def test_of_several_that_have_it_open_the_first_is_the_holder(tmp_path: Path, path: Path) -> None:
    lock = tmp_path / "lock"
    with holding(lock) as pid, subprocess.Popen(["sh", "-c", TAKE.format(lock=lock)]) as waiting:
        time.sleep(0.2)
        said = asked(lock, path)
        waiting.kill()

    assert said.startswith(f"process {pid}")


def test_a_holder_that_cannot_be_seen_is_another_run(tmp_path: Path, path: Path) -> None:
    assert asked(tmp_path / "lock", path) == "another run"


def test_a_run_that_waits_for_a_release_in_vain_says_who_installs_one(tmp_path: Path) -> None:
    with FileServer() as server, holding(tmp_path / "run" / "release.lock") as pid:
        programs = toolbox(tmp_path / "bin", *TOOLS, "curl")
        stub(programs, "chown", ":")
        stub(programs, "flock", "exit 1")  # as after 600 s
        said = Machine(tmp_path, server).install().stderr

    assert re.search(rf": process {pid}( of user \S+)?, {STARTED} has held \S+/release\.lock", said)
    assert "wait until it ends, then run again" in said
