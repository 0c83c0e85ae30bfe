"""Run a command and measure its wall time and processor time on this machine."""

import ctypes
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyinfra_gvisor.base.errors import Problem

RUN_TIMEOUT_S = 600

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


class BenchError(Problem):
    """An error that makes a measurement invalid."""


@dataclass(frozen=True)
class Run:
    """One run. ``cpu_s``: user and system time of the command and of processes it left running."""

    wall_s: float
    cpu_s: float
    output: str


def tell(line: str) -> None:
    """Write a line of progress to stderr."""
    sys.stderr.write(f"bench: {line}\n")
    sys.stderr.flush()


def adopt_orphans() -> None:
    """
    Become the parent of processes that a measured command leaves running.

    ssh's ControlPersist masters outlive Ansible. Without this, their processor time would be
    unknown, and the next run would use their open connections.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        why = os.strerror(ctypes.get_errno())
        raise BenchError("prctl(PR_SET_CHILD_SUBREAPER) failed", got=why)


def run(command: Sequence[str | Path], *, cwd: Path, environment: Mapping[str, str]) -> Run:
    """
    Run ``command``, then end processes that it left. Raise ``BenchError`` if it fails.

    After ``RUN_TIMEOUT_S`` SIGALRM arrives, for which the caller has a handler that raises.
    """
    with tempfile.TemporaryFile(mode="w+") as output:
        signal.alarm(RUN_TIMEOUT_S)  # subprocess's own timeout polls only every 50 ms
        try:
            with no_orphans():
                cpu_s = _cpu_of_children_s()
                began_s = time.perf_counter()
                done = subprocess.run(
                    command,
                    cwd=cwd,
                    env={**os.environ, **environment},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    check=False,
                )
                wall_s = time.perf_counter() - began_s
        finally:
            signal.alarm(0)
        output.seek(0)
        text = output.read()
    if done.returncode != 0:
        raise BenchError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{text}")
    return Run(wall_s, _cpu_of_children_s() - cpu_s, text)


@contextmanager
def no_orphans() -> Iterator[None]:
    """End all processes that the body left, and wait for them: only then their time counts."""
    before = set(_children())
    try:
        yield
    finally:
        # Children of an orphan become ours when it ends.
        while orphans := set(_children()) - before:
            for pid in orphans:
                os.kill(pid, signal.SIGTERM)
                os.waitpid(pid, 0)


def _children() -> Iterator[int]:
    for task in Path("/proc/self/task").iterdir():
        yield from map(int, (task / "children").read_text().split())


def _cpu_of_children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
