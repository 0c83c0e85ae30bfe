"""``container.pl``: the memory that a program inside believes to have."""

import subprocess
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from tests.table import table
from tests.unit.shells import replaced

PROGRAM = files("pyinfra_gvisor.proof").joinpath("container.pl").read_text()
MIB = 2**20
UNLIMITED = 9223372036854775807
V1 = "7:pids:/abc\n6:memory:/abc\n1:cpu,cpuacct:/abc"
V2 = "0::/abc"


@table(
    "groups, limits, seen",
    gvisor=(V1, {"memory/memory.limit_in_bytes": 128 * MIB}, 128 * MIB),
    gvisor_of_2024=(V1, {"memory/memory.limit_in_bytes": UNLIMITED}, 512 * MIB),
    v1_of_the_node=(V1, {"memory/abc/memory.limit_in_bytes": 128 * MIB}, 128 * MIB),
    v2=("0::/", {"memory.max": 128 * MIB}, 128 * MIB),
    v2_of_the_node=(V2, {"abc/memory.max": 128 * MIB}, 128 * MIB),
    v2_unlimited=("0::/", {"memory.max": "max"}, 512 * MIB),
    no_control_groups=("", {}, 512 * MIB),
    more_than_there_is=("0::/", {"memory.max": 1024 * MIB}, 512 * MIB),
)
def test_the_least_of_what_a_program_is_shown_is_its_memory(
    tmp_path: Path, groups: str, limits: Mapping[str, object], seen: int
) -> None:
    (tmp_path / "meminfo").write_text(f"MemTotal:  {512 * 1024} kB\nMemFree:  9 kB\n")
    (tmp_path / "groups").write_text(f"{groups}\n")
    for name, value in limits.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")

    assert _memory(tmp_path) == str(seen)


def test_without_any_of_it_nothing_is_seen(tmp_path: Path) -> None:
    assert _memory(tmp_path) == ""


def _memory(root: Path) -> str:
    changes = {
        "/proc/meminfo": root / "meminfo",
        "/proc/self/cgroup": root / "groups",
        "/sys/fs/cgroup/": f"{root}/cgroup/",
        "look => \\&look": "look => sub { print memory() }",
    }
    command = ["perl", "-e", replaced(PROGRAM, changes), "look"]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    assert ran.stderr == ""
    return ran.stdout
