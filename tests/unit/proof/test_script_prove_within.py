"""``proof/within.sh``: how long a probe may take on a node, and what becomes of a late one."""

from __future__ import annotations

import subprocess
from pathlib import Path

from pyinfra_gvisor.base.scripts import script
from tests.table import table
from tests.unit.shells import run, stub

REFUSES = "failed to connect; check the path: no such file"
QUOTED = "failed to connect, check the path: no such file; repair Docker, then run again"
TELL = 'echo "$probe_timeout_s"'


def ran(
    tmp_path: Path, docker: str, probe: str = TELL, **limits: int
) -> subprocess.CompletedProcess[str]:
    """What comes of a probe on a node with such a Docker."""
    stub(tmp_path, "docker", docker)
    given = {"silent_s": 10, "fast_s": 120, "per_answer_s": 400, "most_s": 3600, **limits}
    path = Path(f"{tmp_path}:/usr/bin:/bin")
    return run(script("proof/within", **given), probe, path=path, timeout_s=60)


@table("answer_s, least, most", at_once=("0", 120, 400), half_a_second=("0.5", 320, 500))
def test_a_node_gets_the_more_time_the_longer_its_docker_takes(
    tmp_path: Path, answer_s: str, least: int, most: int
) -> None:
    told = ran(tmp_path, f"sleep {answer_s}")

    assert told.returncode == 0, told.stderr
    assert least <= int(told.stdout) <= most


def test_nobody_gets_more_than_the_most(tmp_path: Path) -> None:
    assert ran(tmp_path, "sleep 0.2", most_s=150).stdout == "150\n"


@table(
    "docker, said",
    hangs=("exec sleep 60", "Docker has not answered within 1 s"),
    refuses=(f"echo '{REFUSES}' >&2; exit 1", f"Docker does not answer: {QUOTED}\n"),
)
def test_a_silent_docker_is_named_and_nothing_tried(tmp_path: Path, docker: str, said: str) -> None:
    told = ran(tmp_path, docker, silent_s=1)

    assert told.returncode == 1
    assert told.stdout.startswith(f"node\tended\t{said}")


def test_a_probe_that_takes_longer_is_asked_to_tidy_up(tmp_path: Path) -> None:
    probe = "trap 'echo tidied; exit 1' TERM; sleep 30 & wait"

    told = ran(tmp_path, "true", probe, fast_s=1, per_answer_s=0)

    assert (told.returncode, told.stdout) == (124, "tidied\n")
