"""What the rules depend on of dockerd: whom it asks, and how its own traffic is told apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from pyinfra_gvisor.daemon_json.effective import value_in_force
from pyinfra_gvisor.daemon_json.network import named_resolvers
from pyinfra_gvisor.daemon_json.reach import proxied
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.parts.egress.settings import Allowed, Egress

UNIT = "docker.service"
BESIDE = ("containerd.service", "buildkit.service")
"""The units of what fetches and builds for dockerd, under the names that their packages give."""
SINCE = (5, 13)
"""The kernel since which nftables can match a socket's control group, version 2 only: nft(8)."""
NOT_TOLD_APART = "that needs a unit of systemd, cgroup v2 and Linux 5.13"
SWARM_PORTS = ("2377", "7946", "7946/udp")
"""
What dockerd asks other nodes of a swarm, also to join one:
https://docs.docker.com/engine/swarm/swarm-tutorial/
"""

_PORTS = {"http": ("80",), "https": ("443",)}
_ADDRESS_OF = {
    "fluentd": "fluentd-address",
    "gelf": "gelf-address",
    "splunk": "splunk-url",
    "syslog": "syslog-address",
}
_FLUENTD = "localhost:24224"  # the driver's own default


@dataclass(frozen=True)
class Dockerd:
    """
    A node's dockerd as the rules see it.

    + unit: systemd's unit of it
    + is_told_apart: the kernel knows whose packets are Docker's
    + dns: the resolvers that daemon.json names
    + proxied: it runs docker-proxy
    + peers: mirrors, insecure registries, proxies and the log server of its configuration
    """

    unit: str = UNIT
    is_told_apart: bool = False
    dns: tuple[str, ...] = ()
    proxied: bool = False
    peers: tuple[Allowed, ...] = ()

    @property
    def units(self) -> tuple[str, ...]:
        """Return the units whose traffic is Docker's own."""
        return (self.unit, *BESIDE)


def filters_docker(egress: Egress, dockerd: Dockerd) -> bool:
    """Return True if the rules hold for what Docker itself sends."""
    return egress.docker and dockerd.is_told_apart


def dockerd_of(node: Node, *, proxy: bool = True, text: str | None = None) -> Dockerd:
    """
    Return what the rules depend on of a node's dockerd.

    + proxy: False if this run turns docker-proxy off
    + text: the planned daemon.json; None for the file on the node
    """
    return Dockerd(
        unit=node.supervisor.unit or UNIT,
        is_told_apart=node.supervisor.kind == "systemd"
        and node.cgroup_version > 1
        and node.kernel_version >= SINCE,
        dns=named_resolvers(node, text),
        proxied=proxy and proxied(node),
        peers=tuple(dict.fromkeys(_peers(node))),
    )


def _peers(node: Node) -> Iterator[Allowed]:
    info = node.info
    if info is None:
        return
    for text in (*info.mirrors, info.http_proxy, info.https_proxy, *info.insecure_registries):
        yield from peer(text, ("80", "443"))
    options = value_in_force(node, "log-opts")
    given = options if isinstance(options, dict) else {}
    yield from log_server(
        info.logging_driver, str(given.get(_ADDRESS_OF.get(info.logging_driver, ""), ""))
    )


def log_server(driver: str, address: str) -> Iterator[Allowed]:
    """Yield where dockerd sends logs with this driver and address."""
    if driver in _ADDRESS_OF:
        yield from peer(address or (_FLUENTD if driver == "fluentd" else ""))


def peer(text: str, ports: tuple[str, ...] = ()) -> Iterator[Allowed]:
    """
    Yield where a URL or ``host:port`` of dockerd's configuration leads to, without its password.

    Yield nothing for a socket's path, and for what is no destination: dockerd does not reach that
    either. A metadata service is only allowed by an operator who says why.

    + ports: if the text names none
    """
    scheme, is_url, _ = text.partition("://")
    try:
        parts = urlsplit(text if is_url else f"//{text}")
        known = (str(parts.port),) if parts.port else _PORTS.get(scheme if is_url else "", ports)
        ends = tuple(f"{port}/udp" for port in known) if scheme == "udp" else known
        yield Allowed(to=parts.hostname or "", ports=ends)
    except ValueError:  # also of pydantic
        return
