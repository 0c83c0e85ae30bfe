"""What clients reach stays reached, over IPv4 and IPv6, unless the plan has named it before."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.node import egress_server
from tests.node.archives import current_archive, release_archive, sha512
from tests.node.audits import audit, sh
from tests.node.conftest import LAB, lab_of
from tests.node.containers import must, start_container
from tests.node.egress_nodes import address6, at_once, probe
from tests.node.equipped import equipped
from tests.node.running import CURRENT, RELEASE, Fleet, Outcome
from tests.node.seeing import daemon_json, processes, snapshot
from tests.node.transactions import keys
from tests.node.watching import within
from tools.lab import FLAVOURS, LabNode, NodeSpec

RUN = {
    "docker-20": FLAVOURS["debian-12"],
    "docker-26": FLAVOURS["debian-13"],
    "docker-29": FLAVOURS["debian-13-docker-29-containerd"],
    "docker-29-nftables": FLAVOURS["debian-13-docker-29-nftables"],
}
# "web" publishes one of its ports twice, for which Docker's nftables fails to make rules by itself.
NFTABLES = "docker-29-nftables"
SPECS = {
    **{name: NodeSpec(flavour) for name, flavour in RUN.items()},
    "outside": NodeSpec(equipped("debian-13")),
}
LATER = "20260928.0"
FORCED = {"gvisor_daemon_json": {"userland-proxy": False}}
STAYS = "userland-proxy stays on, because without docker-proxy clients lose "
LOST = "clients lose these published ports when docker-proxy ends: "
NEIGHBOURS = "containers will reach published ports by the node's own address only if both"
PORTS6 = ("53/udp", "8080/tcp", "9000/tcp", "9001/tcp")
ONLY_BY_PROXY = ", ".join(f"{port} over IPv6 (web)" for port in PORTS6)
PEER = " from containers [peer]"
OVER_IPV6 = {"web, v6", "web, UDP, v6", "last of a range, v6"}
PORTS4 = ("53/udp", "8080/tcp", "9000/tcp", "9001/tcp")
_SERVER = Path(egress_server.__file__).read_text()
_ASK = (Path(__file__).parent / "reach_client.py").read_text()
_SIX = """
sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0 net.ipv6.conf.all.forwarding=1
ip -6 address replace "$1/64" dev eth0 nodad
"""
_NO_SIX = "sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1"
# Says that it listens, as docker-proxy does, and serves nothing.
_DEAF = "#!/bin/sh\nprintf '0\\n' >&3\nexec sleep 600\n"
_DEAF_PATH = "/usr/local/bin/deaf-proxy"


@dataclass(frozen=True)
class Ground:
    """Run nodes with containers as Coolify's, and a client outside of them."""

    nodes: Mapping[str, LabNode]
    fleet: Fleet

    def only_by_proxy(self, name: str, *, six: bool = True) -> str:
        """Return what is lost without docker-proxy, as it is told; ``six``: with IPv6."""
        if name == "docker-29":
            return ONLY_BY_PROXY
        who = "" if name == NFTABLES else PEER
        lines = [
            *(f"{port} over IPv4 (web){who}" for port in PORTS4 if not who or "udp" not in port),
            *(f"{port} over IPv6 (web)" for port in PORTS6 if six),
            f"8082/tcp on {self.nodes[name].address} (web){who}",
        ]
        return ", ".join(sorted(lines, key=lambda line: (int(line.partition("/")[0]), line)))

    def lost(self, name: str) -> set[str]:
        """Return which of the ports do not answer without docker-proxy."""
        return set(self.ports(name)) if name == NFTABLES else OVER_IPV6

    def ports(self, name: str) -> dict[str, str]:
        """Return how clients come to each published port, by what it is."""
        node = self.nodes[name]
        four, six = node.address, address6(node)
        return {
            "web": f"tcp/{four}/8080",
            "web, v6": f"tcp/{six}/8080",
            "web, UDP": f"udp/{four}/53",
            "web, UDP, v6": f"udp/{six}/53",
            "first of a range": f"tcp/{four}/9000",
            "last of a range": f"tcp/{four}/9001",
            "last of a range, v6": f"tcp/{six}/9001",
            "one address": f"tcp/{four}/8082",
        }

    def answers(self, name: str) -> set[str]:
        """Return the published ports that answer to a client outside."""
        ports = self.ports(name)
        told = json.loads(self.ask(["once", *ports.values()]))
        return {what for what, target in ports.items() if told[target]["answered"]}

    def answers_to_a_neighbour(self, name: str) -> bool:
        """Return True if a container on another network reaches a port by the node's address."""
        node = self.nodes[name]
        target = {"web": f"tcp/{node.address}/8080"}
        return probe(node, target, "docker", "exec", "peer") == {"web": "reached"}

    def ask(self, words: list[str]) -> str:
        """Return what the client says."""
        return must(self.nodes["outside"], "python3", "-c", _ASK, *words)

    def failed_during(self, name: str, job: str, **data: object) -> tuple[Outcome, set[str]]:
        """Run a deploy under clients; return what it said, and which ports failed a request."""
        outside, ports = self.nodes["outside"], self.ports(name)
        unit = f"clients-{name}"
        outside.exec("rm", "-f", f"/run/{unit}.stop", f"/run/{unit}.told")
        words = ["until", f"/run/{unit}.stop", f"/run/{unit}.told", *ports.values()]
        started = ("systemd-run", "--quiet", "--collect", f"--unit={unit}", "python3", "-c", _ASK)
        assert outside.exec(*started, *words).code == 0
        data = {**CURRENT, **data}
        flags = ("-y", "--diff")  # the plan's details, too
        outcome = self.fleet.run(name, deploy=f"deploys/{job}.py", data=data, flags=flags)
        sh(outside, f"touch /run/{unit}.stop")
        sh(outside, f"until [ -s /run/{unit}.told ]; do sleep 0.1; done")
        told = json.loads(sh(outside, f"cat /run/{unit}.told"))
        assert all(item["answered"] + item["failed"] > 3 for item in told.values()), told
        return outcome, {what for what, target in ports.items() if told[target]["failed"]}


def prepare(ground: Ground, name: str) -> None:
    """Have containers that serve: on a network with IPv4 only, as Coolify's proxy is."""
    node = ground.nodes[name]
    sh(node, _SIX, address6(node))
    sh(node, "docker network create front > /dev/null")
    published = ("8080:80", "53:53/udp", "9000-9001:81-82", f"{node.address}:8082:80")
    start_container(node, "web", "--network=front", *(f"--publish={item}" for item in published))
    sh(node, "docker network create back > /dev/null")
    start_container(node, "peer", "--network=back")
    serve(ground, name)


def serve(ground: Ground, name: str) -> None:
    """Have the container answer on its ports; on a busy machine that takes a while."""
    node = ground.nodes[name]
    inside = sh(node, "docker exec web hostname -I").split()[0]
    words = ("tcp/80", "tcp/81", "tcp/82", f"udp/{inside}/53")
    assert node.exec("docker", "exec", "-d", "web", "python3", "-c", _SERVER, *words).code == 0
    assert within(60, lambda: ground.answers(name) == set(ground.ports(name)))


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """The nodes before anything of ours was on them."""
    with lab_of(f"{LAB}-reach", SPECS) as nodes:
        sh(nodes["outside"], _SIX, address6(nodes["outside"]))
        made = Ground(nodes, Fleet(nodes, tmp_path_factory.mktemp("reach")))
        at_once(lambda name: prepare(made, name), RUN)
        yield made


Told = dict[str, tuple[set[str], Outcome, set[str], set[str]]]


@pytest.fixture(scope="module")
def told(ground: Ground) -> Told:
    """By node: what answered before a converge, what that said, what failed, what answers then."""
    before = {name: ground.answers(name) for name in RUN}
    proof = dict.fromkeys(RUN, "never") | {"docker-26": "changed"}
    converged = {
        name: ground.failed_during(name, "gvisor", gvisor_proof=proof[name]) for name in RUN
    }
    after = {name: ground.answers(name) for name in RUN}
    return {name: (before[name], *converged[name], after[name]) for name in RUN}


@pytest.mark.parametrize("name", RUN)
def test_a_converge_leaves_every_published_port_answering_over_both_families(
    ground: Ground, told: Told, name: str
) -> None:
    before, outcome, failed, after = told[name]

    assert outcome.code == 0, outcome.text
    assert before == set(ground.ports(name))
    assert after == before
    assert failed <= OVER_IPV6, "docker-proxy starts again with dockerd"
    assert "refuse connections for less than a second" in outcome.stderr
    assert ("may take a second longer" in outcome.stderr) is (name == NFTABLES)
    assert f"{STAYS}{ground.only_by_proxy(name)}" in outcome.stderr
    assert "userland-proxy" not in daemon_json(ground.nodes[name])
    assert ground.nodes[name].exec("ip", "link", "show", "pgvnode").code != 0
    second = ground.fleet.deploy(name, data=CURRENT)
    assert second.idle
    assert ground.nodes[name].exec("pgrep", "-f", "^sleep 60$").stdout == ""


def test_the_audit_names_them_once_and_no_change_is_pending(ground: Ground, told: Told) -> None:
    assert told

    found = audit(ground.fleet, "docker-26").found

    evidence = found["docker-userland-proxy /etc/docker/daemon.json"]["evidence"]
    assert (
        evidence
        == "userland-proxy is not false; without docker-proxy clients lose "
        + ground.only_by_proxy("docker-26")
    )
    assert [key for key in found if "daemon-json" in key or "drift" in key] == []


def test_a_stopped_container_counts(ground: Ground, told: Told) -> None:
    assert told
    node = ground.nodes["docker-29"]
    sh(node, "docker stop -t 1 web")

    outcome = ground.fleet.run("docker-29", data=CURRENT)
    sh(node, "docker start web")
    serve(ground, "docker-29")

    assert outcome.code == 0, outcome.text
    assert f"{STAYS}{ONLY_BY_PROXY}" in outcome.stderr
    assert "userland-proxy" not in daemon_json(node)
    assert ground.answers("docker-29") == set(ground.ports("docker-29"))


@pytest.mark.parametrize("name", ["docker-20", NFTABLES])
def test_an_upgrade_a_new_runtime_and_the_way_back_lose_no_request(
    ground: Ground, told: Told, tmp_path: Path, name: str
) -> None:
    assert told
    node, before = ground.nodes[name], daemon_json(ground.nodes[name])
    archive = release_archive(current_archive(), LATER, tmp_path)
    more = {
        "gvisor_release": LATER,
        "gvisor_source": str(archive),
        "gvisor_sha512": {"x86_64": sha512(archive)},
        "gvisor_runtimes": {"runsc": {}, "inner": {"network": "sandbox"}},
    }

    outcome, failed = ground.failed_during(name, "gvisor", **more)
    runs = sh(node, "docker info --format '{{(index .Runtimes \"runsc\").Path}}'")
    back, failed_then = ground.failed_during(name, "rollback")

    assert (outcome.code, back.code) == (0, 0), outcome.text + back.text
    assert LATER != RELEASE
    assert f"-{LATER}-" in runs
    assert failed | failed_then == set()
    foretold = "refuse connections for less than a second"
    assert foretold not in outcome.stderr + back.stderr
    assert daemon_json(node) == before
    assert ground.answers(name) == set(ground.ports(name))


@pytest.mark.parametrize("name", ["docker-20", "docker-29", "docker-29-nftables"])
def test_a_change_that_cuts_a_port_unforeseen_goes_back(
    ground: Ground, told: Told, name: str
) -> None:
    assert told
    node = ground.nodes[name]
    node.put(_DEAF_PATH, _DEAF.encode(), mode=0o755)
    before, running = daemon_json(node), processes(node)
    said = (
        rf"published port \d+/tcp on {address6(node)} worked before the change, and does not work"
    )
    if name == "docker-20":  # only containers come to docker-proxy then
        sh(node, _NO_SIX)
        said = r"published port \d+/tcp answered container peer by the node's address before"

    outcome = ground.fleet.run(name, data=keys(userland_proxy_path=_DEAF_PATH))
    sh(node, _SIX, address6(node))

    assert outcome.code == 1
    assert re.search(said, outcome.stderr), outcome.text
    assert daemon_json(node) == before
    assert processes(node) == running
    assert ground.answers(name) == set(ground.ports(name))


@pytest.mark.parametrize("name", ["docker-20", "docker-29", NFTABLES])
def test_whoever_wants_it_off_is_told_what_is_lost_and_gets_it(
    ground: Ground, told: Told, name: str
) -> None:
    assert told
    data = {**CURRENT, **FORCED}
    before = snapshot(ground.nodes[name])
    neighbour_before = ground.answers_to_a_neighbour(name)

    dry = ground.fleet.run(name, data=data, flags=("--dry", "--diff"))
    unchanged = snapshot(ground.nodes[name]) == before
    outcome, failed = ground.failed_during(name, "gvisor", **FORCED)
    after, neighbour = ground.answers(name), ground.answers_to_a_neighbour(name)
    second = ground.fleet.run(name, data=data)
    removed, failed_then = ground.failed_during(name, "remove")

    assert unchanged
    assert f"{LOST}{ground.only_by_proxy(name)}" in dry.stderr
    assert outcome.code == 0, outcome.text
    assert f"{LOST}{ground.only_by_proxy(name)}" in outcome.stderr
    assert failed == ground.lost(name)
    assert after == set(ground.ports(name)) - ground.lost(name)
    assert neighbour_before
    assert neighbour is (name == "docker-29")
    assert (NEIGHBOURS in outcome.stderr) is not name.startswith("docker-29")
    assert second.idle, second.text
    assert removed.code == 0, removed.text
    assert failed_then <= ground.lost(name)
    assert ground.answers(name) == set(ground.ports(name))


def test_what_containers_alone_would_lose_stays_and_dockerd_reloads_a_file_that_it_refuses(
    ground: Ground, told: Told
) -> None:
    assert told
    name = "docker-26"
    node = ground.nodes[name]
    sh(node, _NO_SIX)
    text = daemon_json(node).replace("{", '{\n    "userland-proxy": true,', 1)
    node.put("/etc/docker/daemon.json", text.encode())
    sh(node, "systemctl reload docker")
    log = "journalctl -u docker -o cat | grep -q 'userland-proxy-path is not set'"
    refused = within(20, lambda: node.exec("sh", "-c", log).code == 0)
    data = {**CURRENT, "gvisor_runtimes": {"runsc": {}, "inner": {"network": "sandbox"}}}

    outcome = ground.fleet.run(name, data=data, flags=("-y", "--diff"))
    answered = ground.answers_to_a_neighbour(name)
    second = ground.fleet.run(name, data=data)
    sh(node, _SIX, address6(node))

    assert refused
    assert outcome.code == 0, outcome.text
    assert f"{STAYS}{ground.only_by_proxy(name, six=False)}. To" in outcome.stderr
    assert "daemon.json: changed, reload" in outcome.stderr
    assert "dockerd refuses every reload" in outcome.stderr
    assert '"userland-proxy": true' in daemon_json(node)
    assert '"inner"' in sh(node, "docker info --format '{{json .Runtimes}}'")
    assert answered
    assert second.idle, second.text


def test_where_dockerd_makes_no_rules_docker_proxy_stays_for_ipv4_too(ground: Ground) -> None:
    name = "docker-26"
    node = ground.nodes[name]
    node.put("/etc/docker/daemon.json", b'{"iptables": false, "live-restore": true}\n')
    sh(node, "systemctl restart docker; iptables -t nat -F DOCKER; iptables -P FORWARD ACCEPT")
    sh(node, "docker start web")  # the dockerd before had no live-restore
    serve(ground, name)
    before = ground.answers(name)

    outcome = ground.fleet.deploy(name, data=CURRENT)

    assert f"{STAYS}53/udp over IPv4 (web), 53/udp over IPv6 (web), 8080/tcp over" in outcome.stderr
    assert ground.answers(name) == before == set(ground.ports(name))
