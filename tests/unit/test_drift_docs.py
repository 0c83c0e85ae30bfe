"""The examples of docs/drift.md and docs/how-to/ci.md do what the pages say."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.unit.drift_command import COMMAND, FILES, ROOT, Ran

PAGE = (ROOT / "docs" / "drift.md").read_text()
CI_PAGE = (ROOT / "docs" / "how-to" / "ci.md").read_text()
PROGRAM = ".venv/bin/pyinfra-gvisor"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A directory with an inventory and a deploy, and the program beside it, as in the examples."""
    fleet = tmp_path / "fleet"
    for name in ("fleet/inventories", "fleet/deploys", ".venv/bin"):
        (tmp_path / name).mkdir(parents=True)
    (fleet / "text").write_text(FILES["text"])
    program = tmp_path / PROGRAM
    program.write_text(
        f"#!/bin/sh\nexport PYTHONPATH={shlex.quote(str(ROOT))}\n"
        f'exec {shlex.join(COMMAND[:-1])} "$@"\n'
    )
    program.chmod(0o755)
    return fleet


def put(checkout: Path, *, inventory: str, deploy: str) -> None:
    (checkout / "inventories" / "run.py").write_text(FILES[inventory])
    (checkout / "deploys" / "gvisor.py").write_text(FILES[deploy])


def sh(script: str, directory: Path) -> Ran:
    """``script`` as cron and CI runners run it: by sh, which ends at the first failure."""
    path = f"{directory.parent / '.venv/bin'}:/usr/bin:/bin"
    return subprocess.run(
        ["sh", "-ec", script],
        cwd=directory,
        env={"PATH": path, "HOME": str(directory)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("inventory", "deploy", "mail"),
    [
        pytest.param("here.py", "still.py", "", id="in-sync"),
        pytest.param("here.py", "change.py", "pending: 1 pending, of 1 host\n", id="pending"),
        pytest.param("empty.py", "still.py", "error: no host was checked\n", id="error"),
    ],
)
def test_the_line_for_cron_is_silent_only_in_sync(
    checkout: Path, inventory: str, deploy: str, mail: str
) -> None:
    found = re.search(r"^17 5 \* \* \* (.*)$", CI_PAGE, re.MULTILINE)
    assert found
    command = found[1]
    assert "%" not in command  # which cron takes for the end of the line
    put(checkout, inventory=inventory, deploy=deploy)

    ran = sh(command.replace("/srv/", shlex.quote(f"{checkout.parent}/")), checkout)

    assert ran.stdout.endswith(mail)
    assert bool(ran.stdout) == bool(mail)
    assert ran.stderr == ""


@pytest.mark.parametrize(
    ("inventory", "deploy", "code"),
    [
        pytest.param("here.py", "still.py", 0, id="in-sync"),
        pytest.param("here.py", "change.py", 2, id="pending"),
        pytest.param("half.py", "change.py", 1, id="error"),
    ],
)
def test_the_job_for_ci_ends_with_the_verdict_and_keeps_the_plan(
    checkout: Path, inventory: str, deploy: str, code: int
) -> None:
    found = re.search(r"^    - (pyinfra-gvisor drift .*)$", CI_PAGE, re.MULTILINE)
    assert found
    put(checkout, inventory=inventory, deploy=deploy)

    ran = sh(found[1], checkout)

    assert ran.returncode == code, ran.stderr
    assert json.loads((checkout / "drift.json").read_text())["exit_code"] == code


def test_the_page_names_every_option_of_the_command() -> None:
    ran = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, check=True)

    options = set(re.findall(r"--[a-z][a-z-]+", ran.stdout)) - {"--help", "--parallel"}
    assert len(options) > 6
    assert sorted(option for option in options if option not in PAGE) == []
