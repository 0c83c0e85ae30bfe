"""When running containers get the scripts back that a start of dockerd has dropped."""

from __future__ import annotations

import subprocess
from pathlib import Path

from pyinfra_gvisor.scripts import script

# The directory changes with the fourth question, and dockerd has started with the seventh.
FAKES = """
sleep() { :; }
asked() { grep -c directory "$log"; }
directory() { echo directory >> "$log"; [ "$(asked)" -lt 4 ] && echo old || echo new; }
is_starting() { [ "$(asked)" -lt "$started" ]; }
look() { echo looked >> "$log"; }
"""


def looked(directory: Path, *, started: int) -> tuple[list[str], str]:
    """What was asked and done, in order, and the directory that is remembered in the end."""
    log, seen = directory / "log", directory / "seen"
    seen.write_text("old\n")
    values = {"state_dir": str(directory), "unit": "docker.service"}
    head = script("runtime_scripts", **values, log=str(log), started=str(started), seen=str(seen))
    text = f'{head}{FAKES}set -- /none "$seen"\neval "$look_until_nothing_changes"\n'
    ran = subprocess.run(["sh"], input=text, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    return log.read_text().split(), seen.read_text().strip()


def test_nothing_is_put_where_dockerd_removes(tmp_path: Path) -> None:
    told, _ = looked(tmp_path, started=3)

    assert told[:4] == ["directory"] * 3 + ["looked"], "twice it starts, then it runs"
    assert told.count("looked") == 7


def test_a_new_directory_is_filled_at_once_and_not_when_dockerd_has_started(tmp_path: Path) -> None:
    told, seen = looked(tmp_path, started=7)

    assert told[:5] == ["directory"] * 4 + ["looked"]
    assert told[5:9] == ["directory"] * 3 + ["looked"], "once for each directory"
    assert seen == "new"
