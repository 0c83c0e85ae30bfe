"""
Run nodes with the oldest Docker and the newest.

Their second runtime has gVisor's own network stack. Each node has resolvers that are asked for what
Docker does not know, at addresses of its own; and its mounts are shared, as systemd makes them on a
machine and not in a container. Both are there again after a power cut.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.node.audits import sh
from tests.node.containers import must
from tests.node.egress_nodes import at_once
from tests.node.equipped import equipped, free_port_80
from tests.node.running import Deployed, Fleet
from tools.lab import LabNode, NodeSpec

SPECS = {
    "names-20": NodeSpec(equipped("debian-12")),
    "names-29": NodeSpec(equipped("debian-13-docker-29-nftables")),
}
RUNTIMES: dict[str, Any] = {
    "runsc": {"network": "host"},
    "gvisor": {"network": "sandbox", "dns": "docker"},
}
ADDRESS = "169.254.53.53"
ADDRESS6 = "fd2e:6ab4:9d1c::53"
UNIT = "pyinfra-gvisor-resolver"

RESOLVER, RESOLVER_TOO = "10.9.9.53", "10.9.9.54"
OUTSIDE, OUTSIDE_TOO = "203.0.113.9", "203.0.113.10"  # what they say; RFC 5737, TEST-NET-3

NETWORKS = {
    "red": ("--subnet=172.31.1.0/24", "--ipv6", "--subnet=fd91::/64"),
    "blue": ("--subnet=172.31.2.0/24",),
    "inner": ("--internal", "--subnet=172.31.3.0/24"),
}
KINDS = ("runc", "runsc", "gvisor")
PAIRED = {network: tuple(f"{network}-{kind}" for kind in KINDS) for network in ("red", "blue")}
PUBLISHED = {"red-gvisor": "8080", "red-runsc": "8081"}
COMPOSE = "com.docker.compose"
COMPOSED = {"till-web-1": "web", "till-db-1": "db"}
OPTIONS = ("--read-only", f"--dns={RESOLVER_TOO}", "--dns-search=outside.test", "--dns-opt=ndots:2")

_SERVER = (Path(__file__).parent / "names_server.py").read_text()
_PROBE = (Path(__file__).parent / "names_probe.py").read_text()
_SERVER_PATH = "/root/names_server.py"
_SURROUNDINGS = f"""\
[Unit]
DefaultDependencies=no
Before=sysinit.target docker.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=mount --make-rshared /
ExecStart=ip address replace {RESOLVER}/32 dev lo
ExecStart=ip address replace {RESOLVER_TOO}/32 dev lo
ExecStart=sh -c 'echo "nameserver {RESOLVER}" > /etc/resolv.conf'
ExecStart=sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0 net.ipv6.conf.all.forwarding=1
[Install]
WantedBy=sysinit.target
"""
_RESOLVERS = f"""\
[Unit]
After=names-surroundings.service
Before=docker.service
[Service]
ExecStart=python3 {_SERVER_PATH} dns/{RESOLVER}/{OUTSIDE} dns/{RESOLVER_TOO}/{OUTSIDE_TOO}
[Install]
WantedBy=multi-user.target
"""
_HAVE = """
set -eu
systemctl daemon-reload
systemctl enable --quiet --now names-surroundings names-resolvers
mkdir -p /root/tree/proc /root/tree/sys /root/tree/dev /root/tree/tmp /root/tree/etc
for link in bin lib lib64; do ln -sfn "usr/$link" "/root/tree/$link"; done
tar -C /root/tree -c . | docker import - names:1 > /dev/null
"""
# Arguments: the server, and a container each, with its options behind it.
_START = """
set -eu
server=$1
shift
for words; do
    set -- $words
    name=$1
    shift
    if docker inspect "$name" > /dev/null 2>&1; then continue; fi
    docker run -d --name "$name" --hostname "$name" --restart=always -v /usr:/usr:ro "$@" names:1 \\
        python3 -c "$server" "hello/$name" > /dev/null
done
"""


class Ground(Deployed):
    """The nodes by their names in ``SPECS``, with both runtimes."""

    def ready(self, name: str) -> LabNode:
        """Return a node with names and its containers, whatever earlier tests have left."""
        if name not in self.known:
            self.deploy(name)
            self.have_containers(name)
            self.known.add(name)
        return self.nodes[name]

    def have_containers(self, name: str) -> None:
        """Have the networks and all containers, each of which says its name on port 80."""
        node = self.nodes[name]
        for network, options in NETWORKS.items():
            if node.exec("docker", "network", "inspect", network).code != 0:
                command = ("docker", "network", "create", *options, network)
                must(node, *command)
        start(node, containers())

    def outside(self, name: str) -> LabNode:
        """Return another node than this one."""
        return next(node for other, node in self.nodes.items() if other != name)

    def probe(self, name: str, container: str, targets: Iterable[str]) -> dict[str, str]:
        """Return the answers to a container's questions (``names_probe.py``)."""
        return probe(self.nodes[name], targets, "docker", "exec", container)

    def resolves(self, name: str, container: str, host: str) -> bool:
        """Return True if a container reaches another one by its name."""
        target = f"tcp/{host}/80"
        return self.probe(name, container, [target]) == {target: host}


def prepare(nodes: Mapping[str, LabNode], directory: Path) -> Ground:
    """Prepare nodes with Docker and everything around it."""
    at_once(lambda name: _surround(nodes[name]), nodes)
    return Ground(nodes, Fleet(nodes, directory), {"gvisor_runtimes": RUNTIMES})


def _surround(node: LabNode) -> None:
    free_port_80(node)
    node.put(_SERVER_PATH, _SERVER.encode())
    node.put("/etc/systemd/system/names-surroundings.service", _SURROUNDINGS.encode())
    node.put("/etc/systemd/system/names-resolvers.service", _RESOLVERS.encode())
    sh(node, _HAVE)


def start(node: LabNode, wanted: Mapping[str, tuple[str, ...]]) -> None:
    """Have containers with their options, each of which says its name on port 80."""
    sh(node, _START, _SERVER, *(f"{name} {' '.join(item)}" for name, item in wanted.items()))


def containers() -> dict[str, tuple[str, ...]]:
    """All containers of a node with their options; ``too`` is the alias of each that is paired."""
    found: dict[str, tuple[str, ...]] = {
        f"{network}-{kind}": (
            f"--network={network}",
            f"--network-alias={network}-{kind}-too",
            f"--runtime={kind}",
        )
        for network in PAIRED
        for kind in KINDS
    }
    for name, port in PUBLISHED.items():
        found[name] += (f"--publish={port}:80",)
    for name, service in COMPOSED.items():
        labels = (f"--label={COMPOSE}.project=till", f"--label={COMPOSE}.service={service}")
        found[name] = (
            *("--runtime=gvisor", "--network=inner"),
            *(f"--network-alias={service}", *labels),
        )
    found["options"] = ("--runtime=gvisor", "--network=red", *OPTIONS)
    found["bridged"] = ("--runtime=gvisor",)
    return found


def probe(node: LabNode, targets: Iterable[str], *inside: str) -> dict[str, str]:
    """Return the answers to somebody's questions."""
    ran = must(node, *inside, "python3", "-c", _PROBE, *targets)
    return dict(line.rsplit("=", 1) for line in ran.splitlines())
