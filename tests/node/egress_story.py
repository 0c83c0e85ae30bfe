"""The firewall's main job, run once for all tests: what containers reached before and after."""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.node.audits import sh
from tests.node.containers import must, remove_container, start_container
from tests.node.egress_nodes import (
    CONTAINERS,
    GATEWAY,
    METADATA,
    NAME,
    NODE_PORT,
    PUBLIC,
    PUBLISHED,
    RULES,
    RUN,
    TABLE,
    Ground,
    at_once,
    counted,
    ruleset,
    stopped,
)
from tests.node.running import Outcome
from tests.node.seeing import snapshot
from tests.node.watching import within
from tools.lab import LabNode

# Connects to sshd of the outside node, which the rules will forbid, and talks when it is told.
HOLD = """
import pathlib, socket, sys, time
held = socket.create_connection((sys.argv[1], 22), 10)
banner = held.recv(99)
pathlib.Path("/tmp/holds").touch()
while not pathlib.Path("/tmp/talk").exists():
    time.sleep(0.1)
held.sendall(b"SSH-2.0-probe\\r\\n")
pathlib.Path("/tmp/heard").write_bytes(held.recv(9999)[5:6])
"""
KEXINIT = "\x14"  # SSH_MSG_KEXINIT: RFC 4253
NAMES = {"name outside": f"name/{NAME}", "name of a peer": "name/tenant"}

Reached = Mapping[str, str]
"""What came of an attempt, by what was tried to reach."""


@dataclass(frozen=True)
class Look:
    """What was reached at one moment on one node: from its containers, and from outside."""

    containers: Mapping[str, Reached]
    published: Reached


@dataclass(frozen=True)
class EgressStory:
    """By node: what was reached, what the runs printed, and what they changed."""

    ground: Ground
    before: Mapping[str, Look]
    report: Outcome
    reported: Mapping[str, Look]
    listed: Outcome
    load: Outcome
    heard: Mapping[str, Reached]
    after: Mapping[str, Look]
    stopped: Mapping[str, set[str]]
    counted: Mapping[str, Mapping[str, int]]
    latecomer: Mapping[str, Reached]
    second: Outcome
    second_changed: tuple[str, ...]


def tell(ground: Ground) -> EgressStory:
    """Run the main job on three run nodes together."""
    nodes = ground.nodes
    ground.deploy(*RUN, egress=None)
    ground.have_containers(*RUN)
    before = at_once(lambda name: look(ground, name), RUN)
    report = ground.deploy(*RUN, egress={**RULES, "mode": "report"})
    reported = at_once(lambda name: look(ground, name), RUN)
    listed = ground.deploy(*RUN, deploy="deploys/egress.py")
    at_once(lambda name: hold(ground, name), RUN)
    load = ground.deploy(*RUN, proof="changed")
    for name in RUN:  # what the proof has tried is not what the containers have
        sh(nodes[name], f"nft flush set {TABLE} stopped4; nft reset counters table {TABLE}")
    heard = at_once(lambda name: talk(nodes[name]), RUN)
    after = at_once(lambda name: look(ground, name), RUN)
    found = {name: stopped(nodes[name]) for name in RUN}
    counts = {name: counted(nodes[name]) for name in RUN}
    latecomer = at_once(lambda name: made_later(ground, name), RUN)
    unchanged = at_once(lambda name: whole(nodes[name]), RUN)
    second = ground.deploy(*RUN, proof="changed")
    seen = (before, report, reported, listed, load, heard, after, found, counts, latecomer)
    return EgressStory(ground, *seen, second, changed(nodes, unchanged))


def hold(ground: Ground, name: str) -> None:
    """Have a connection of each container to where the rules will let no new one."""
    node, to = ground.nodes[name], ground.nodes["outside"].address
    for container in CONTAINERS:
        must(node, "docker", "exec", "-d", container, "python3", "-c", HOLD, to)
        holds = ("docker", "exec", container, "test", "-e", "/tmp/holds")
        assert within(20, lambda holds=holds: node.exec(*holds).code == 0)


def talk(node: LabNode) -> Reached:
    """Return what each container hears over its connection."""
    heard = {}
    for container in CONTAINERS:
        inside = ("docker", "exec", container)
        must(node, *inside, "touch", "/tmp/talk")
        assert within(
            20, lambda inside=inside: node.exec(*inside, "test", "-s", "/tmp/heard").code == 0
        )
        heard[container] = must(node, *inside, "cat", "/tmp/heard")
    return heard


def look(ground: Ground, name: str) -> Look:
    """What the containers of a node reach, and what is reached of them."""
    targets = {**ground.forbidden(name), **ground.forbidden6(name), **ground.allowed(name), **NAMES}
    node = ground.nodes[name].address
    published = {container: f"tcp/{node}/{port}" for container, port in PUBLISHED.items()}
    return Look(
        at_once(lambda container: ground.probe(name, container, targets), CONTAINERS),
        ground.from_outside(published),
    )


def made_later(ground: Ground, name: str) -> Reached:
    """Return what a container on a new network reaches, and what reaches it."""
    node = ground.nodes[name]
    sh(node, "docker network create late")
    start_container(node, "latecomer", "--network=late", "--runtime=runsc")
    try:
        gateway = sh(
            node, "docker network inspect late --format '{{(index .IPAM.Config 0).Gateway}}'"
        ).strip()
        targets = {
            "metadata": f"tcp/{METADATA}/80",
            "sshd by the gateway": f"tcp/{gateway}/22",
            "sshd by another gateway": f"tcp/{GATEWAY}/22",
            "open internet": f"tcp/{PUBLIC}/80",
            "node_ports": f"tcp/{gateway}/{NODE_PORT}",
            "name outside": f"name/{NAME}",
        }
        return ground.probe(name, "latecomer", targets)
    finally:
        remove_container(node, "latecomer")
        sh(node, "docker network rm late")


def changed(nodes: Mapping[str, LabNode], before: Mapping[str, str]) -> tuple[str, ...]:
    """Return the nodes that have changed."""
    now = at_once(lambda name: whole(nodes[name]), before)
    return tuple(name for name in before if now[name] != before[name])


def whole(node: LabNode) -> str:
    """Return everything that a run could change, including rules of the kernel."""
    return f"{snapshot(node)}\n{ruleset(node)}"
