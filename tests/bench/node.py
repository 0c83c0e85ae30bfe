"""The node of the bench, and what a run costs it by its own account."""

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

from tests.bench.measure import BenchError, Run
from tests.node.running import CURRENT, Fleet
from tools.lab import Lab, LabNode, NodeSpec, chosen_runsc, tell_on_stderr
from tools.lab.cache import Cache
from tools.lab.containers import ContainerNode

LAB_NAME = "gvisor-bench"
APT_TIMEOUT_S = 300

# At this level sshd logs each session. Nothing else changes: the lab's MaxStartups and MaxSessions
# are enough for 50 simultaneous hosts.
_SSHD = b"LogLevel VERBOSE\n"
_SSHD_CONFIG = "/etc/ssh/sshd_config.d/bench.conf"
_JOURNAL = 'journalctl --quiet --no-pager --output=cat "$@"'
_CURSOR = "journalctl --quiet --no-pager --lines=0 --show-cursor"
_DAEMONS = ("--identifier=sshd", "--identifier=sshd-session")  # the latter since OpenSSH 9.8
_DOCKER = "docker version --format '{{.Server.Version}}'"
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
class Cost:
    """What the node has counted during a run: exec channels for one host, processor time."""

    channels: float
    cpu_s: float


@dataclass(frozen=True)
class BenchNode:
    """The one node to which all host names lead."""

    lab_node: LabNode

    def shell(self, command: str, *arguments: str) -> str:
        """Run a command as root in the node, without SSH. Return its output."""
        ran = self.lab_node.exec("sh", "-c", command, "sh", *arguments)
        if ran.code != 0:
            what = f"node: {command} {' '.join(arguments)}: exit {ran.code}"
            raise BenchError(f"{what}\n{ran.stdout}{ran.stderr}")
        return ran.stdout.strip()

    def install(self, package: str) -> None:
        """Install a package from Debian."""
        install = f"apt-get -qq update && apt-get -qq install --no-install-recommends {package}"
        self.shell(f"DEBIAN_FRONTEND=noninteractive timeout {APT_TIMEOUT_S} sh -c '{install}'")

    def versions(self, *packages: str) -> str:
        """Return the versions of Docker and of installed packages, as text."""
        found = [self.shell("dpkg-query -W -f '${Version}' \"$1\"", name) for name in packages]
        named = (f", {name} {version}" for name, version in zip(packages, found, strict=True))
        return f"Docker {self.shell(_DOCKER)}{''.join(named)}"

    def host_data(self) -> str:
        """Return the host data for pyinfra, as JSON."""
        return json.dumps({**self.lab_node.host_data(), **runsc_settings()})

    def costs(self, job: Callable[[], Run], hosts: int) -> tuple[Run, Cost]:
        """Do a job; return what the node counted. Raise ``BenchError`` after other connections."""
        self._settle()
        cursor = self.shell(_CURSOR).partition("-- cursor: ")[2]
        before_ns = self.cpu_ns()
        done = job()
        cpu_s = (self.cpu_ns() - before_ns) / 1e9
        self._settle()
        said = self.shell(_JOURNAL, f"--after-cursor={cursor}", *_DAEMONS).splitlines()
        connections = sum(line.startswith(_CONNECTION) for line in said)
        if connections != hosts:
            raise BenchError(f"{connections} connections for {hosts} hosts")
        return done, Cost(sum(line.startswith(_SESSION) for line in said) / hosts, cpu_s)

    def cpu_ns(self) -> int:
        """Return the node's processor time so far in nanoseconds, including its containers."""
        container = cast("ContainerNode", self.lab_node).container
        stats = container.stats(stream=False, one_shot=True)
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
            if self.shell(_JOURNAL, f"--identifier={_SETTLED_TAG}", "--lines=1") == line:
                return
            time.sleep(0.1)
        raise BenchError(f"node: journald is more than {_SETTLED_TIMEOUT_S} s late")


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
def new_nodes(part: str, *specs: NodeSpec) -> Iterator[list[BenchNode]]:
    """Yield new nodes with plain Docker; remove them in the end, whatever happens."""
    lab = Lab(f"{LAB_NAME}-{part}")
    lab.down()
    try:
        yield [BenchNode(node) for node in lab.up(specs)]
    finally:
        lab.down()


@contextmanager
def bench_node() -> Iterator[BenchNode]:
    """Yield the node of all runs, whose sshd logs each session."""
    with new_nodes("runs", NodeSpec()) as (node,):
        node.lab_node.put(_SSHD_CONFIG, _SSHD)
        node.shell("systemctl reload ssh")
        # Ansible's modules need more of Python than the lab's python3-minimal has.
        node.install("python3")
        yield node
