"""
Measure the controller alone over many hosts: a rollout, and the floor in the same shards.

The hosts answer from memory, each after 30 ms, as proven ones; one node has a few hundred names.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

from pyinfra_gvisor.rollout.plan import Plan, read_plan
from tests.bench.measure import BenchError, tell
from tests.bench.node import bench_node, converge
from tests.bench.report import markdown
from tests.bench.results import measured_on
from tests.bench.variants import BENCH, GROUP_DATA, PARALLEL, ROOT
from tests.cases.cli import fake
from tests.cases.proven import proven_answer

ROUNDS = 3
FAKE = (100, 400, 1000, 2000)
NAMES = (150, 400)
DELAY_S = 0.03
OURS = (sys.executable, "-P", "-m", "pyinfra_gvisor.command")
PYINFRA = (sys.executable, "-P", "-m", "pyinfra")


class Used(NamedTuple):
    """What commands used: user time and wall time in seconds, the memory of the largest process."""

    user_s: float
    wall_s: float
    memory_mb: float


def measured(rounds: int) -> str:
    """Measure; return a description and a table."""
    about = measured_on(rounds)
    rows = [("hosts", "what", "user CPU s", "times floor", "wall s", "largest process MB")]
    for number in FAKE:
        with tempfile.TemporaryDirectory() as work:
            fleet = _fleet(Path(work), number)
            plan = _plan(fleet)
            found = [(_rollout(fleet), _floor(fleet, plan)) for _ in _rounds(number, rounds)]
        rows += _rows(f"{number}", ("rollout", "floor"), found)
    with bench_node() as node:
        converge({"scale": node.lab_node})
        for number in NAMES:
            names = {"GVISOR_BENCH_HOSTS": str(number), "GVISOR_BENCH_NODE": node.host_data()}
            found = [(_named("deploys/gvisor.py", names), _named("tests/bench/floor.py", names))
                     for _ in _rounds(number, rounds)]  # fmt: skip
            rows += _rows(f"{number} names of a node", ("ours", "floor"), found)
    return f"{about}\n\n{markdown(rows)}"


def _rounds(hosts: int, rounds: int) -> Iterator[int]:
    for number in range(rounds):
        tell(f"{hosts} hosts, round {number + 1} of {rounds}")
        yield number


def _rows(
    hosts: str, names: tuple[str, str], found: Sequence[tuple[Used, Used]]
) -> Iterator[tuple[str, ...]]:
    floor_s = median(floor.user_s for _, floor in found)
    for name, used in zip(names, zip(*found, strict=True), strict=True):
        user_s = median(one.user_s for one in used)
        wall_s = median(one.wall_s for one in used)
        memory_mb = max(one.memory_mb for one in used)
        numbers = (user_s, user_s / floor_s, wall_s, memory_mb)
        yield (
            hosts,
            name,
            *(f"{one:.{digits}f}" for one, digits in zip(numbers, (1, 2, 1, 0), strict=True)),
        )


def _fleet(work: Path, hosts: int) -> Path:
    """Make a fleet of hosts that are as declared, and proven."""
    fleet = work / "fleet"
    subprocess.run(
        [*OURS, "init", "--directory", str(fleet), "a"], check=True, stdout=subprocess.DEVNULL
    )
    for path in (fleet / "group_data").iterdir():
        path.unlink()
    (fleet / "group_data").rmdir()
    data = {**fake(proven_answer()), "fake_delay": DELAY_S}
    text = f"data = {data!r}\nrun = [(f'@fake/run-{{n}}', data) for n in range({hosts})]\n"
    (fleet / "inventories/run.py").write_text(text)
    (fleet / "deploys/floor.py").write_text((BENCH / "floor.py").read_text())
    return fleet


def _plan(fleet: Path) -> Plan:
    _used([*OURS, "rollout", "--plan", "plan.json"], fleet)
    return read_plan(fleet / "plan.json")


def _rollout(fleet: Path) -> Used:
    return _used([*OURS, "rollout", "-y"], fleet)


def _floor(fleet: Path, plan: Plan) -> Used:
    """Read each host, in processes of as many hosts, which know no others, as many at a time."""
    data = (fleet / "inventories/run.py").read_text().partition("\n")[0]
    used, began_s = [], time.monotonic()
    for wave in plan.waves:
        words = []
        for names in wave.shards:
            own = fleet / f"inventories/{len(used) + len(words)}.py"
            own.write_text(f"{data}\nrun = [(name, data) for name in {names!r}]\n")
            words.append([*PYINFRA, str(own), "deploys/floor.py", "-y"])
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            used += pool.map(partial(_used, cwd=fleet), words)
    wall_s = time.monotonic() - began_s
    return Used(sum(one.user_s for one in used), wall_s, max(one.memory_mb for one in used))


def _named(deploy: str, names: dict[str, str]) -> Used:
    words = ("-y", "--parallel", str(PARALLEL), "--group-data", str(GROUP_DATA))
    return _used([*PYINFRA, *words, "tests/bench/lab.py", deploy], ROOT, names)


def _used(command: Sequence[str], cwd: Path, more: dict[str, str] | None = None) -> Used:
    """Run a command, and return what it and all processes below it used."""
    with tempfile.TemporaryFile() as output:
        began_s = time.monotonic()
        process = subprocess.Popen(
            command, cwd=cwd, env={**os.environ, **(more or {})}, stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            text = output.read().decode(errors="replace")
            raise BenchError(f"{' '.join(command)}: exit {process.returncode}\n{text}")
    return Used(usage.ru_utime, time.monotonic() - began_s, usage.ru_maxrss / 1024)
