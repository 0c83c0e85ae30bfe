"""Published ports that docker-proxy serves or would serve, and how clients reach them."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address
from typing import Literal

from pyinfra_gvisor.base.models import Reading


class Published(Reading):
    """
    A published port of a running container, from docker-proxy's arguments, or of a stopped one.

    ``host`` and ``port`` are the node's address and port. ``port`` is 0 if Docker will choose one.
    ``address`` and ``own`` are the container's address and port; the address of a stopped container
    tells only the version of IP. ``container`` is empty if unknown.
    """

    running: bool
    protocol: str
    host: str
    port: int
    address: str
    container: str = ""
    own: int

    @property
    def version(self) -> Literal[4, 6]:
        """Return the version of IP that clients use: 4 or 6."""
        return 6 if self.is_ipv6 else 4

    @property
    def is_ipv6(self) -> bool:
        """Return True if clients use IPv6."""
        return isinstance(ip_address(self.host), IPv6Address)

    @property
    def is_translated(self) -> bool:
        """Return True if clients and the container use different versions of IP."""
        return self.version != ip_address(self.address).version

    @property
    def is_loopback(self) -> bool:
        """Return True if only the node itself reaches the port."""
        return ip_address(self.host).is_loopback

    @property
    def is_wildcard(self) -> bool:
        """Return True if the port is published on every address of the node."""
        return ip_address(self.host).is_unspecified

    def __str__(self) -> str:
        where = f"over IPv{self.version}" if self.is_wildcard else f"on {self.host}"
        return f"{self.port}/{self.protocol} {where} ({self.container or self.address})"


class Joined(Reading):
    """
    A container's place in a bridge network.

    ``network`` is empty if no traffic is allowed between its containers. The addresses are empty if
    the container does not run.
    """

    container: str
    network: str
    address: str
    address6: str


class Reach(Reading):
    """
    The ports that clients reach, or could reach, through docker-proxy.

    ``joined`` are the containers of bridge networks. ``outer6`` are the interfaces with a global
    IPv6 address, without Docker's bridges.
    """

    proxied: tuple[Published, ...] = ()
    joined: tuple[Joined, ...] = ()
    outer6: tuple[str, ...] = ()


def read_reach(lines: Sequence[str]) -> Reach:
    """
    Parse the lines that ``node/docker_state.pl`` prints.

    Ports that Docker would not publish are left out, such as a stopped container's port without an
    address.
    """
    proxied, joined, outer6 = [], [], []
    for line in lines:
        kind, *words = line.split(" ")
        if kind == "outer6":
            outer6 += words
        elif kind == "joined":
            joined += _joined(words)
        elif found := _published(kind, words):
            proxied.append(found)
    proxied.sort(key=lambda item: (item.port, item.protocol, item.version, item.host))
    return Reach(
        proxied=tuple(proxied),
        joined=tuple(dict.fromkeys(joined)),
        outer6=tuple(dict.fromkeys(outer6)),
    )


def _joined(words: Sequence[str]) -> list[Joined]:
    try:
        container, network, *addresses = words
        network, address, address6 = ("" if item == "-" else item for item in (network, *addresses))
    except ValueError:
        return []
    return [Joined(container=container, network=network, address=address, address6=address6)]


def _published(kind: str, words: Sequence[str]) -> Published | None:
    try:
        protocol, host, port, address, container, own = words
        return Published(
            running=kind == "proxy",
            protocol=protocol,
            host=str(ip_address(host)),
            port=int(port),
            address=str(ip_address(address)),
            container=container.removeprefix("-"),
            own=int(own),
        )
    except ValueError:
        return None
