"""The main job, run once for all tests: the nodes before, between and after."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.node.archives import ArchiveServer
from tests.node.containers import must
from tests.node.running import PROVEN, WITH_ROWS, Fleet, Outcome
from tests.node.seeing import processes, snapshot
from tools.lab import LabNode

NODES = ("plain", "lived-in", "docker-20", "docker-28", "docker-29")
LIVED_IN = NODES[1:]
"""One for each version of Docker."""

ENDS = ("docker-20", "docker-29")
"""The oldest and the newest, for what takes long."""


@dataclass(frozen=True)
class Story:
    """The nodes before, between and after, and what the runs printed."""

    nodes: Mapping[str, LabNode]
    before: dict[str, str]
    processes: dict[str, dict[str, int]]
    dry: Outcome
    after_dry: dict[str, str]
    converge: Outcome
    converged: dict[str, str]
    second: Outcome
    after_second: dict[str, str]
    channels: dict[str, int]


def tell(nodes: Mapping[str, LabNode], server: ArchiveServer, fleet: Fleet) -> Story:
    """Run the main job on all nodes together; half of them get the release from the server."""
    by_host = served(server)
    before = {name: snapshot(nodes[name]) for name in NODES}
    running = {name: processes(nodes[name]) for name in NODES}
    dry = fleet.run(*NODES, flags=("--dry", "--diff"), data=PROVEN, by_host=by_host)
    after_dry = {name: snapshot(nodes[name]) for name in NODES}
    converge = fleet.run(*NODES, flags=WITH_ROWS, data=PROVEN, by_host=by_host)
    counted = {name: count_channels(nodes[name]) for name in NODES}
    converged = {name: snapshot(nodes[name]) for name in NODES}
    second = fleet.run(*NODES, data=PROVEN, by_host=by_host, unloaded=True)
    opened = {name: channels(nodes[name]) - counted[name] for name in NODES}
    after_second = {name: snapshot(nodes[name]) for name in NODES}
    runs = (before, running, dry, after_dry, converge, converged, second, after_second)
    return Story(nodes, *runs, opened)


def bring(
    nodes: Mapping[str, LabNode],
    fleet: Fleet,
    by_host: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Run the main job and restart containers: all run on our release, as after some time."""
    names = [name for name in NODES if name in nodes]
    fleet.deploy(*names, data=PROVEN, by_host=by_host)
    for name in names:
        count_channels(nodes[name])
        if name in LIVED_IN:
            must(nodes[name], "docker", "restart", "-t", "2", "old-sandbox")


def served(server: ArchiveServer) -> dict[str, dict[str, Any]]:
    """Settings by name, for half of the nodes: the release from the server."""
    source = {"gvisor_source": server.source}
    return dict.fromkeys(("lived-in", "docker-28", "docker-29"), source)


def count_channels(node: LabNode) -> int:
    """Make sshd log every exec channel; return how many there are so far."""
    node.put("/etc/ssh/sshd_config.d/verbose.conf", b"LogLevel VERBOSE\n")
    node.exec("systemctl", "reload", "ssh")
    return channels(node)


def channels(node: LabNode) -> int:
    """Return how many exec channels the node's sshd has opened since the story began."""
    log = node.exec("sh", "-c", "journalctl -q -o cat -u ssh -t sshd -t sshd-session")
    return log.stdout.count("Starting session: command")
