"""How a change of daemon.json that was interrupted is ended by what it left on the node."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pyinfra_gvisor.daemon_json.transaction import resumption
from pyinfra_gvisor.node import STATE_DIR


def resumed(directory: Path) -> subprocess.CompletedProcess[str]:
    """The script with a directory of records of the test's own."""
    text = resumption().replace(STATE_DIR, str(directory))
    return subprocess.run(["sh"], input=text, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("left", "told"),
    [
        pytest.param({}, "", id="ended-meanwhile"),
        pytest.param({"transaction.sh": 'echo "$1"'}, "resume\n", id="whole"),
    ],
)
def test_its_own_script_ends_it(left: dict[str, str], told: str, tmp_path: Path) -> None:
    for name, text in left.items():
        (tmp_path / "pending").mkdir()
        (tmp_path / "pending" / name).write_text(text)

    ran = resumed(tmp_path)

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, told, "")


@pytest.mark.parametrize("left", [pytest.param(None, id="gone"), pytest.param("", id="empty")])
def test_without_its_script_it_is_said_what_to_do(left: str | None, tmp_path: Path) -> None:
    pending = tmp_path / "pending"
    pending.mkdir()
    if left is not None:
        (pending / "transaction.sh").write_text(left)

    ran = resumed(tmp_path)

    assert (ran.returncode, ran.stdout) == (1, "")
    assert f"the script that undoes it is missing: {pending}/transaction.sh; " in ran.stderr
    assert f"remove {pending}, and run again" in ran.stderr
    assert pending.exists()
