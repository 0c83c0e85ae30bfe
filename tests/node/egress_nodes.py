"""
Three run nodes, whose Dockers make rules in ways of their own, and one that plays what is outside.

What is routed to the outside node: metadata services, private hosts, a resolver, and addresses that
stand for the open internet. On every run node a container under runc and one under runsc are on
Docker's network ``six``, which has IPv4 and IPv6; both serve port 80, which is published too.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from tests.node.audits import sh
from tests.node.containers import must, start_container
from tests.node.equipped import equipped, free_port_80
from tests.node.running import Deployed, Fleet
from tests.node.turns import versions_of_turn
from tests.node.watching import within
from tools.lab import FLAVOURS, LabNode, NodeSpec

SPECS = {
    "docker-20": NodeSpec(FLAVOURS["debian-12"]),
    "docker-28": NodeSpec(equipped("debian-13-docker-28"), lived_in=True),
    "docker-29": NodeSpec(FLAVOURS["debian-13-docker-29-nftables"]),
    "outside": NodeSpec(FLAVOURS["debian-13"]),
}
WITHOUT_NFT = "docker-28"
RUN = (*versions_of_turn("docker-20", "docker-29"), WITHOUT_NFT)
CONTAINERS = {"tenant": "runc", "sandbox": "runsc"}

METADATA, PRIVATE, DATABASE, RESOLVER = "169.254.169.254", "10.9.9.9", "10.9.9.5", "10.9.9.53"
PUBLIC = "203.0.113.9"  # RFC 5737, TEST-NET-3
METADATA6, PUBLIC6 = "fd00:ec2::254", "2001:db8:9::9"  # AWS; RFC 3849
TRIED = "10.255.255.254", "192.0.2.1"  # by proofs
OUTSIDE = (METADATA, PRIVATE, DATABASE, RESOLVER, PUBLIC, *TRIED)
NAME = "outside.test"
NETWORK, GATEWAY, SUBNET = "six", "172.30.0.1", "172.30.0.0/24"
NODE_PORT, UDP_PORT = "9100", "5000"
PUBLISHED = {"tenant": "8080", "sandbox": "8081"}

TABLE = "inet pyinfra_gvisor"
FILES = ("/opt/gvisor/egress", "/etc/systemd/system/pyinfra-gvisor-egress.service")
UNIT = "pyinfra-gvisor-egress"
# Before Docker 27 only docker-proxy serves IPv6 clients of these nodes, and would stay on.
# Containers then reach published ports as the node's own, which the rules stop.
NO_PROXY = {"gvisor_daemon_json": {"userland-proxy": False}}
RULES: dict[str, Any] = {"allow": [{"to": DATABASE, "ports": ["5432"]}], "node_ports": [NODE_PORT]}

Result = TypeVar("Result")

_SERVER = (Path(__file__).parent / "egress_server.py").read_text()
_PROBE = (Path(__file__).parent / "egress_probe.py").read_text()
_SERVED = "egress-server"
_SERVE = f"""
set -eu
if systemctl is-active --quiet {_SERVED}; then systemctl stop {_SERVED}; fi
systemd-run --quiet --collect --unit={_SERVED} python3 -c "$@"
"""
# A container asks whom the node did when it was started.
_RESOLV = """
set -eu
if grep -qx "nameserver $1" /etc/resolv.conf; then exit 0; fi
echo "nameserver $1" > /etc/resolv.conf
docker ps -q --filter "network=$2" | xargs -r docker restart -t 0 > /dev/null
"""
_SIX = """
set -eu
sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0 net.ipv6.conf.all.forwarding=1
ip -6 address replace "$1/64" dev eth0 nodad
"""


class Ground(Deployed):
    """The nodes by their names in ``SPECS``; each run has these rules, or none (None)."""

    def firewalled(self, name: str) -> LabNode:
        """Return a node with these rules, with one container under runc and one under runsc."""
        node = self.nodes[name]
        if f"{name}\n{kept(node)}" not in self.known:
            self.deploy(name)
            self.have_containers(name)
            self.known.add(f"{name}\n{kept(node)}")
        return node

    def probe(self, name: str, container: str, targets: Mapping[str, str]) -> dict[str, str]:
        """Return what a container gets when it tries to reach these targets, by name."""
        return probe(self.nodes[name], targets, "docker", "exec", container)

    def from_outside(self, targets: Mapping[str, str]) -> dict[str, str]:
        """Return what the outside node gets when it tries to reach these targets."""
        return probe(self.nodes["outside"], targets)

    def forbidden(self, name: str) -> dict[str, str]:
        """Return what the default rules block, and how to reach it (``egress_probe.py``)."""
        node, outside = self.nodes[name], self.nodes["outside"]
        return {
            "metadata": f"tcp/{METADATA}/80",
            "metadata's resolver": f"udp/{METADATA}/53",
            "private host": f"tcp/{PRIVATE}/80",
            "private host, UDP": f"udp/{PRIVATE}/{UDP_PORT}",
            "another port of what is allowed": f"tcp/{DATABASE}/80",
            "neighbour of the node": f"tcp/{outside.address}/80",
            "port 25": f"tcp/{PUBLIC}/25",
            "sshd by the gateway": f"tcp/{GATEWAY}/22",
            "sshd by the node's address": f"tcp/{node.address}/22",
        }

    def forbidden6(self, name: str) -> dict[str, str]:
        """Return the blocked IPv6 targets."""
        node, outside = self.nodes[name], self.nodes["outside"]
        return {
            "metadata, v6": f"tcp/{METADATA6}/80",
            "private host, v6": f"tcp/{address6(outside)}/80",
            "port 25, v6": f"tcp/{PUBLIC6}/25",
            "sshd by the gateway, v6": f"tcp/{gateway6(name)}/22",
            "sshd by the node's address, v6": f"tcp/{address6(node)}/22",
        }

    def allowed(self, name: str) -> dict[str, str]:
        """Return the targets that the default rules allow."""
        node = self.nodes[name]
        return {
            "open internet": f"tcp/{PUBLIC}/80",
            "open internet, UDP": f"udp/{PUBLIC}/{UDP_PORT}",
            "open internet, v6": f"tcp/{PUBLIC6}/80",
            "resolver in a private network": f"dns/{RESOLVER}",
            "allow": f"tcp/{DATABASE}/5432",
            "node_ports": f"tcp/{GATEWAY}/{NODE_PORT}",
            "node_ports, v6": f"tcp/{gateway6(name)}/{NODE_PORT}",
            "other container by name": "tcp/tenant/80",
            "other sandbox by name": "tcp/sandbox/80",
            "published port of the node": f"tcp/{node.address}/{PUBLISHED['tenant']}",
        }

    def restore(self, *names: str) -> None:
        """Put back on run nodes what a boot takes away: addresses, routes, what is served."""
        at_once(self._restore, names)

    def _restore(self, name: str) -> None:
        node, outside = self.nodes[name], self.nodes["outside"]
        sh(node, _SIX, address6(node))
        way, way6 = outside.address, address6(outside)
        for to in OUTSIDE:
            sh(node, f"ip route replace {to} via {way}")
        for to in (METADATA6, PUBLIC6):
            sh(node, f"ip -6 route replace {to} via {way6}")
        sh(outside, f"ip -6 route replace {prefix6(name)} via {address6(node)}")
        sh(node, _RESOLV, RESOLVER, NETWORK)
        sh(node, _SERVE, _SERVER, f"tcp/{NODE_PORT}")

    def have_containers(self, *names: str) -> None:
        """Have the network and both containers on run nodes, serving."""
        at_once(self._have_containers, names)

    def _have_containers(self, name: str) -> None:
        node = self.nodes[name]
        if node.exec("docker", "network", "inspect", NETWORK).code != 0:
            subnets = f"--subnet {SUBNET} --ipv6 --subnet {prefix6(name)}"
            sh(node, f"docker network create {subnets} {NETWORK}")
        for container, runtime in CONTAINERS.items():
            if node.exec("docker", "inspect", container).code != 0:
                published = f"--publish={PUBLISHED[container]}:80"
                more = (f"--runtime={runtime}", "--restart=always", published)
                start_container(node, container, f"--network={NETWORK}", *more)
            serve(node, container)


def prepare(nodes: Mapping[str, LabNode], directory: Path) -> Ground:
    """Make the ground of these nodes: routes, what is outside, gVisor on the run nodes."""
    ground = Ground(nodes, Fleet(nodes, directory), {"gvisor_egress": RULES, **NO_PROXY})
    outside = nodes["outside"]
    free_port_80(nodes["docker-28"])
    sh(nodes[WITHOUT_NFT], "dpkg --purge nftables > /dev/null")
    upstream = sh(outside, "sed -n 's/^nameserver //p' /etc/resolv.conf | head -n 1").strip()
    sh(outside, _SIX, address6(outside))
    for to in OUTSIDE:
        sh(outside, f"ip address replace {to}/32 dev lo")
    for to in (METADATA6, PUBLIC6):
        sh(outside, f"ip -6 address replace {to}/128 dev lo")
    tcp = (f"tcp/{port}" for port in ("80", "25", "5432"))
    udp = (f"udp/{METADATA}/53", *(f"udp/{to}/{UDP_PORT}" for to in (PRIVATE, PUBLIC, PUBLIC6)))
    sh(outside, _SERVE, _SERVER, *tcp, *udp, f"dns/{RESOLVER}/{upstream}")
    ground.restore(*RUN)
    return ground


def at_once(job: Callable[[str], Result], names: Iterable[str]) -> dict[str, Result]:
    """Run a job on all these nodes at the same time; return its results by node name."""
    names = list(names)
    with ThreadPoolExecutor(len(names)) as pool:
        return dict(zip(names, pool.map(job, names), strict=True))


def serve(node: LabNode, container: str) -> None:
    """Have a container say hello on port 80, until it ends; return when it does."""
    inside = ("docker", "exec", container)
    must(node, *inside[:2], "-d", container, "python3", "-c", _SERVER, "tcp/80")
    own = {"own": "tcp/127.0.0.1/80"}
    assert within(60, lambda: probe(node, own, *inside) == {"own": "reached"})


def probe(node: LabNode, targets: Mapping[str, str], *inside: str) -> dict[str, str]:
    """Return what somebody gets when it tries to reach these targets, by name."""
    ran = must(node, *inside, "python3", "-c", _PROBE, *targets.values())
    words = dict(line.rsplit(" ", 1) for line in ran.splitlines())
    return {what: words[target] for what, target in targets.items()}


def address6(node: LabNode) -> str:
    """Return a node's IPv6 address, made from its IPv4 address: unique on this machine."""
    return f"fd77::{node.address.replace('.', ':')}"


def prefix6(name: str) -> str:
    """The network that the containers of a run node have in IPv6."""
    return f"fd9{RUN.index(name)}::/64"


def gateway6(name: str) -> str:
    """The node's own address there."""
    return prefix6(name).replace("/64", "1")


def ruleset(node: LabNode) -> str:
    """Return all rules of the kernel, sorted, without counters and set contents."""
    text = sh(node, "if command -v nft > /dev/null; then nft -s -t list ruleset; fi")
    return "".join(sorted(re.split("^(?=table )", text, flags=re.MULTILINE)))


def table(node: LabNode) -> str:
    """Our rules; empty if there are none."""
    return node.exec("nft", "-s", "-t", "list", "table", *TABLE.split()).stdout


def kept(node: LabNode) -> str:
    """Return a node's firewall files, what it would load at boot, and all rules of the kernel."""
    files = f"find {' '.join(FILES)} -type f ! -name '*.sh' -exec sha256sum {{}} + | sort"
    enabled = f"systemctl is-enabled {UNIT} || [ $? -eq 4 ]"  # not there
    return f"{sh(node, f'{enabled}; if [ -d {FILES[0]} ]; then {files}; fi')}{ruleset(node)}"


def counted(node: LabNode) -> dict[str, int]:
    """Packets, by the name of the counter."""
    text = sh(node, f"nft list counters table {TABLE}")
    found = re.findall(r"counter (\w+) \{\s+packets (\d+)", text)
    return {name: int(packets) for name, packets in found}


def stopped(node: LabNode) -> set[str]:
    """Return what the rules have blocked, as ``container address protocol port``."""
    text = "".join(sh(node, f"nft list set {TABLE} stopped{version}") for version in "46")
    found = re.findall(r"(\S+) \. (\S+) \. (\S+) \. (\S+) (?:timeout|expires)", text)
    return {" ".join(item) for item in found}
