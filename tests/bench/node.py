"""The node of the bench, and what a run costs it by its own account."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

from tests.bench.measure import BenchError
from tests.node.running import CURRENT, Fleet
from tools.lab import Lab, LabNode, NodeSpec, chosen_runsc, tell_on_stderr
from tools.lab.cache import Cache

LAB_NAME = "gvisor-bench"
APT_TIMEOUT_S = 300

# At this level sshd logs each session. Nothing else changes: the lab's MaxStartups and MaxSessions
# are enough for 50 simultaneous hosts.
_SSHD = b"LogLevel VERBOSE\n"
_SSHD_CONFIG = "/etc/ssh/sshd_config.d/bench.conf"
_JOURNAL = ("journalctl", "--quiet", "--no-pager")
_SESSION = "Starting session: "
_CONNECTION = "Accepted publickey for "
_SETTLED_TAG = "bench-settled"
_SETTLED_TIMEOUT_S = 30


@cache
def runsc_settings() -> dict[str, Any]:
    """Return the settings for the node's runsc, as in ``inventories/lab.py``."""
    kept = Cache.of(os.environ)
    chosen = chosen_runsc(os.environ, lab=LAB_NAME, cache=kept, tell=tell_on_stderr)
    return dict(chosen.settings)


@dataclass(frozen=True)
class Mark:
    """A moment: a position in the node's journal, and its processor time so far."""

    cursor: str
    cpu_ns: int


@dataclass(frozen=True)
class Cost:
    """What the node has counted between a mark and now."""

    channels: int
    connections: int
    cpu_s: float


@dataclass(frozen=True)
class BenchNode:
    """The one node to which all host names lead."""

    lab_node: LabNode

    def shell(self, command: str, *arguments: str) -> str:
        """Run a command as root in the node, without SSH. Return its output."""
        ran = self.lab_node.exec("sh", "-c", command, "sh", *arguments)
        if ran.code != 0:
            raise BenchError(f"node: {command}: exit {ran.code}", got=ran.stderr)
        return ran.stdout.strip()

    def install(self, package: str) -> None:
        """Install a package from Debian."""
        install = f"apt-get -qq update && apt-get -qq install --no-install-recommends {package}"
        self.shell(f"DEBIAN_FRONTEND=noninteractive timeout {APT_TIMEOUT_S} sh -c '{install}'")

    def version(self, package: str) -> str:
        """Return the version of an installed package."""
        return self.shell("dpkg-query -W -f '${Version}' \"$1\"", package)

    def host_data(self) -> str:
        """Return the host data for pyinfra, as JSON."""
        return json.dumps({**self.lab_node.host_data(), **runsc_settings()})

    def mark(self) -> Mark:
        """Return a mark of this moment."""
        self._settle()
        shown = self._journal("--lines=0", "--show-cursor")
        return Mark(shown.partition("-- cursor: ")[2].strip(), self.cpu_ns())

    def since(self, mark: Mark) -> Cost:
        """Return what the node has counted since ``mark``."""
        cpu_ns = self.cpu_ns()
        self._settle()
        daemons = ("--identifier=sshd", "--identifier=sshd-session")  # the latter since OpenSSH 9.8
        said = self._journal("--output=cat", f"--after-cursor={mark.cursor}", *daemons).splitlines()
        return Cost(
            channels=sum(line.startswith(_SESSION) for line in said),
            connections=sum(line.startswith(_CONNECTION) for line in said),
            cpu_s=(cpu_ns - mark.cpu_ns) / 1e9,
        )

    def cpu_ns(self) -> int:
        """Return the node's processor time so far in nanoseconds, including its containers."""
        stats = self.lab_node.container.stats(stream=False, one_shot=True)
        usage = cast("dict[str, Any]", stats)["cpu_stats"]["cpu_usage"]
        return int(usage["total_usage"])

    def _settle(self) -> None:
        """
        Wait until the journal has all of sshd's messages so far.

        On a busy machine they arrive late and would count for the next run. A line of our own,
        sent in the same way, arrives after them.
        """
        line = f"settled-{time.monotonic_ns()}"
        self.shell(f"logger --socket /dev/log --tag {_SETTLED_TAG} {line}")
        end_s = time.monotonic() + _SETTLED_TIMEOUT_S
        while time.monotonic() < end_s:
            last = self._journal("--output=cat", f"--identifier={_SETTLED_TAG}", "--lines=1")
            if last.strip() == line:
                return
            time.sleep(0.1)
        raise BenchError(f"node: journald is more than {_SETTLED_TIMEOUT_S} s late")

    def _journal(self, *arguments: str) -> str:
        ran = self.lab_node.exec(*_JOURNAL, *arguments)
        if ran.code != 0:
            raise BenchError("node: journalctl failed", got=ran.stderr)
        return ran.stdout


def converge(
    nodes: Mapping[str, LabNode], *, by_host: dict[str, Any] | None = None, **data: Any
) -> None:
    """Run the main job with these settings. Raise ``BenchError`` if a node does not converge."""
    settings = {**CURRENT, "gvisor_proof": "never", **data}
    with tempfile.TemporaryDirectory() as directory:
        fleet = Fleet(dict(nodes), Path(directory))
        ran = fleet.run(*nodes, data=settings, by_host=by_host)
    if ran.code != 0:
        raise BenchError(f"the nodes did not converge:\n{ran.text}")


@contextmanager
def bench_node() -> Iterator[BenchNode]:
    """Yield a new node with plain Docker; remove it in the end, whatever happens."""
    lab = Lab(LAB_NAME)
    try:
        node = BenchNode(lab.up([NodeSpec()])[0])
        _prepare(node)
        yield node
    finally:
        lab.down()


def _prepare(node: BenchNode) -> None:
    node.lab_node.put(_SSHD_CONFIG, _SSHD)
    node.shell("systemctl reload ssh")
    # Ansible's modules need more of Python than the lab's python3-minimal has.
    node.install("python3")
