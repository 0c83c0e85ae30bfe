"""How a change of daemon.json that was interrupted is ended by what it left on the node."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pyinfra_gvisor.daemon_json.transaction import resumption
from pyinfra_gvisor.node import STATE_DIR


def resumed(directory: Path) -> subprocess.CompletedProcess[str]:
    """The script with a directory of records of the test's own."""
    text = resumption().replace(STATE_DIR, str(directory))
    return subprocess.run(["sh"], input=text, capture_output=True, text=True, check=False)


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """The script that an interrupted change leaves."""
    pending = tmp_path / "state" / "pending"
    pending.mkdir(parents=True)
    for directory in (pending.parent, pending):
        directory.chmod(0o700)
    script = pending / "transaction.sh"
    script.write_text('echo "$1"')
    script.chmod(0o600)
    sha256 = hashlib.sha256(script.read_bytes()).hexdigest()
    (pending.parent / "pending.sha256").write_text(f"{sha256}\n")
    return script


def test_its_own_script_ends_it(left: Path) -> None:
    ran = resumed(left.parent.parent)

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "resume\n", "")


def test_a_change_that_has_ended_meanwhile_needs_nothing(tmp_path: Path) -> None:
    ran = resumed(tmp_path)

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


# dockerd makes files and directories for mounts, as root, before a container is refused.
OTHER: dict[str, Callable[[Path], object]] = {
    "gone": lambda script: script.unlink(),
    "empty": lambda script: script.write_text(""),
    "another": lambda script: script.write_text("echo another"),
    "no-checksum": lambda script: (script.parent.parent / "pending.sha256").unlink(),
    "mode": lambda script: script.chmod(0o755),
    "directory": lambda script: (script.unlink(), script.mkdir(0o700)),
    "directory-above": lambda script: script.parent.chmod(0o755),
    "records": lambda script: script.parent.parent.chmod(0o755),
    "symbolic-link": lambda script: script.symlink_to(script.rename(script.with_name("other"))),
    "hard-link": lambda script: script.with_name("other").hardlink_to(script),
    "linked-directory": lambda script: script.parent.symlink_to(
        script.parent.rename(script.parent.with_name("other"))
    ),
}


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
def test_a_script_that_is_missing_or_not_ours_is_not_run(
    left: Path, change: Callable[[Path], object]
) -> None:
    change(left)

    ran = resumed(left.parent.parent)

    assert (ran.returncode, ran.stdout) == (1, "")
    assert f"is missing, or was not written by pyinfra-gvisor: {left}; " in ran.stderr
    assert f"remove {left.parent}, and run again" in ran.stderr
    assert left.parent.exists()
