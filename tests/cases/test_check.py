"""``pyinfra-gvisor check``: what a run would refuse without asking a node."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pyinfra_gvisor.command.__main__ import main
from tests.arguments import Patch
from tests.table import table


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: Patch) -> Path:
    """A fleet as ``init`` writes it, with two hosts."""
    main(["init", "--directory", str(tmp_path / "fleet"), "run-1", "run-2"])
    monkeypatch.chdir(tmp_path / "fleet")
    return tmp_path / "fleet"


def check(*options: str) -> subprocess.CompletedProcess[str]:
    """How a check of the current directory ends, as a process of its own."""
    words = [sys.executable, "-P", "-m", "pyinfra_gvisor.command", "check", *options]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)


def add(fleet: Path, name: str, text: str) -> None:
    """Write at the end of a fleet's file, which may be new."""
    with (fleet / name).open("a", encoding="utf-8") as file:
        file.write(text)


def test_a_new_fleet_has_nothing_to_correct(fleet: Path) -> None:
    ran = check()

    assert ran.stdout == (
        "Summary: nothing to correct for 2 hosts in inventories/run.py. Next: pyinfra-gvisor plan\n"
    )
    assert "note: group_data/build.py: no host of this inventory is in group build" in ran.stderr
    assert ran.returncode == 0


ESCAPE = (
    "group_data/run.py",
    "gvisor_release = '20231009.0'\ngvisor_sha512 = {'x86_64': 'a' * 128}\n",
    "group_data/run.py: gvisor_release: release 20231009.0 has a known escape",
)
REFUSED = [
    ("group_data/run.py", "gvisor_egress: {}\n", "gvisor_egress: has a colon and no value"),
    ("group_data/run.py", "gvisor_proof = 'sometimes'\n", "group_data/run.py: gvisor_proof: "),
    ("group_data/runs.py", "x = 1\n", "did you mean run.py?"),
    (
        "deploys/gvisor.py",
        "gvisor_default = 'sandbox'\n",
        "deploys/gvisor.py:6: gvisor_default: has no effect in this file",
    ),
    ("inventories/run.py", "cooolify = ['run-2']\n", "did you mean coolify?"),
]


@table("refused", much_at_once=REFUSED, a_known_escape=[ESCAPE])
def test_what_a_run_refuses_fails_a_check(fleet: Path, refused: list[tuple[str, str, str]]) -> None:
    for name, text, _ in refused:
        add(fleet, name, text)

    ran = check()

    assert [said for *_, said in refused if ran.stderr.count(said) != 1] == []
    assert ran.stdout.endswith("to correct for 2 hosts in inventories/run.py. No node was asked.\n")
    assert ran.returncode == 1


@table(
    "name, text, said",
    syntax=("group_data/run.py", "x = (\n", "run.py:"),
    exception=("group_data/run.py", "1 / 0\n", "run.py: cannot be run: Zero"),
    no_host=("inventories/run.py", "run = canary = []\n", "has no host"),
)
def test_a_file_that_cannot_be_used_is_told(fleet: Path, name: str, text: str, said: str) -> None:
    add(fleet, name, text)

    ran = check()

    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.returncode == 1


def test_an_inventory_that_is_not_there_is_told(fleet: Path) -> None:
    ran = check("--inventory", "inventories/rum.py")

    assert "inventories/rum.py does not exist in" in ran.stderr
    assert ran.returncode == 1
