"""Describe the machine and versions of a measurement."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.bench.ansible_core import ansible_version
from tests.bench.node import BenchNode


def describe(node: BenchNode, ansible: Path, *, runs: int, load: float) -> str:
    """Return a sentence with date, hardware and versions."""
    said = node.shell("docker version --format '{{.Server.Version}}'; sshd -V 2>&1")
    docker, openssh = said.split("\n")
    return (
        f"{measured_on(runs, load)}, "
        f"Python {platform.python_version()}, pyinfra {version('pyinfra')}, "
        f"ansible-core {ansible_version(ansible)}; in the node Docker {docker}, "
        f"{openssh.split(',')[0].replace('_', ' ')}."
    )


def measured_on(rounds: int, load: float) -> str:
    """Return the beginning of such a sentence; ``load`` is the load before the measurement."""
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, medians of {rounds} interleaved rounds, on "
        f"{len(os.sched_getaffinity(0))} cores ({_processor()}), Linux {platform.release()}, "
        f"load {load:.1f} before"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
