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
    PRIVATE,
    PUBLIC,
    PUBLIC6,
    PUBLISHED,
    RULES,
    RUN,
    TABLE,
    UDP_PORT,
    UNIT,
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
# Sends numbered datagrams to each target, each by one socket, until it is told to stop. Then it
# writes how many were sent, and how many had no answer.
FLOW = """
import pathlib, socket, sys, threading, time
stop, told = pathlib.Path("/tmp/stop"), {}
def flow(to, host, port):
    flowing = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    flowing.connect((host, int(port)))
    flowing.settimeout(1)
    count, back = 0, set()
    def hear():
        while not told.get(to):
            try:
                back.add(int(flowing.recv(64)))
            except OSError:
                pass
    hearing = threading.Thread(target=hear)
    hearing.start()
    while not stop.exists():
        try:
            flowing.send(b"%d" % count)
        except OSError:
            pass
        count += 1
        time.sleep(0.04)
    time.sleep(2)
    told[to] = f"{to} {count} {count - len(back)}"
    hearing.join()
flows = [threading.Thread(target=flow, args=(to, *to.split("/"))) for to in sys.argv[1:]]
for each in flows: each.start()
for each in flows: each.join()
pathlib.Path("/tmp/flowed.new").write_text("\\n".join(told.values()))
pathlib.Path("/tmp/flowed.new").rename("/tmp/flowed")
"""
FLOWS = tuple(f"{to}/{UDP_PORT}" for to in (PUBLIC, PUBLIC6, PRIVATE))
"""Two targets that are always allowed, and one that the rules will forbid to who is new."""
RELOADS = 5
KEXINIT = "\x14"  # SSH_MSG_KEXINIT: RFC 4253
NAMES = {"name outside": f"name/{NAME}", "name of a peer": "name/tenant"}

Reached = Mapping[str, str]
"""What came of an attempt, by what was tried to reach."""
Flowed = Mapping[str, Mapping[str, list[int]]]
"""Datagrams that were sent and lost, by container and target."""


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
    flowed: Mapping[str, Flowed]
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
    for _ in range(RELOADS):
        at_once(lambda name: sh(nodes[name], f"systemctl reload {UNIT}"), RUN)
    heard = at_once(lambda name: talk(nodes[name]), RUN)
    flowed = at_once(lambda name: flows(nodes[name]), RUN)
    after = at_once(lambda name: look(ground, name), RUN)
    found = {name: stopped(nodes[name]) for name in RUN}
    counts = {name: counted(nodes[name]) for name in RUN}
    latecomer = at_once(lambda name: made_later(ground, name), RUN)
    unchanged = at_once(lambda name: whole(nodes[name]), RUN)
    second = ground.deploy(*RUN, proof="changed")
    held = (heard, flowed)
    seen = (before, report, reported, listed, load, *held, after, found, counts, latecomer)
    return EgressStory(ground, *seen, second, changed(nodes, unchanged))


def hold(ground: Ground, name: str) -> None:
    """Have a connection of each container to where the rules will let no new one."""
    node, to = ground.nodes[name], ground.nodes["outside"].address
    for container in CONTAINERS:
        inside = ("docker", "exec", "-d", container, "python3", "-c")
        must(node, *inside, HOLD, to)
        must(node, *inside, FLOW, *FLOWS)
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


def flows(node: LabNode) -> Flowed:
    """Return how many datagrams each container sent to each target, and how many were lost."""
    found = {}
    for container in CONTAINERS:
        inside = ("docker", "exec", container)
        must(node, *inside, "touch", "/tmp/stop")
        ended = (*inside, "test", "-e", "/tmp/flowed")
        assert within(20, lambda ended=ended: node.exec(*ended).code == 0)
        lines = map(str.split, must(node, *inside, "cat", "/tmp/flowed").splitlines())
        found[container] = {to: [int(sent), int(lost)] for to, sent, lost in lines}
    return found


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
