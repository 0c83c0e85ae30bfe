"""When running containers get the scripts back that a start of dockerd has dropped."""

from __future__ import annotations

import subprocess
from pathlib import Path

from pyinfra_gvisor.scripts import script

FAKES = """
sleep() { :; }
is_starting() { echo asked >> "$log"; [ "$(grep -c asked "$log")" -le 3 ]; }
look() { echo looked >> "$log"; }
"""


def test_nothing_is_put_there_while_dockerd_starts(tmp_path: Path) -> None:
    log = tmp_path / "log"
    head = script("runtime_scripts", state_dir=str(tmp_path), unit="docker.service", log=str(log))
    text = f'{head}{FAKES}set -- /none\neval "$look_until_nothing_changes"\n'

    ran = subprocess.run(["sh"], input=text, capture_output=True, text=True, check=False)

    assert (ran.returncode, ran.stderr) == (0, "")
    told = log.read_text().split()
    assert told[:4] == ["asked"] * 4, "three times it starts, then it runs"
    assert told[4:] == [*["looked", "asked"] * 6, "looked"]
