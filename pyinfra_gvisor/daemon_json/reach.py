"""Which published ports depend on dockerd's userland-proxy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from pyinfra_gvisor.base.columns import some
from pyinfra_gvisor.daemon_json.effective import value_in_force
from pyinfra_gvisor.daemon_json.validation import dockerd_version
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.node.reach import Published

USERLAND_PROXY = "userland-proxy"
IP6TABLES_SINCE = 27  # on unless switched off: docs.docker.com/engine/release-notes/27/
NEIGHBOURS_SINCE = (29,)
"""Seen: dockerd 20.10, 26.1 and 28.5 drop traffic from one bridge to another, 29.7 does not."""


@dataclass(frozen=True)
class Lost:
    """A published port that ends with docker-proxy, for these containers; empty: for everybody."""

    port: Published
    containers: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.containers:
            return str(self.port)
        return f"{self.port} from containers [{some(self.containers)}]"


def proxied(node: Node) -> bool:
    """Return True if the running dockerd uses its userland-proxy, which is Docker's default."""
    if any(item.running for item in node.reach.proxied):
        return True  # whatever daemon.json says now
    return node.info is not None and value_in_force(node, USERLAND_PROXY) not in (False, "false")


def uses_nftables(node: Node) -> bool:
    """Return True if the running dockerd's firewall rules are in nftables."""
    return node.info is not None and node.info.firewall_backend == "nftables"


def only_by_proxy(node: Node) -> tuple[Published, ...]:
    """
    Return the published ports that clients reach only through docker-proxy.

    dockerd has no rules between IPv4 and IPv6, no rules without ``iptables``, and no rules for IPv6
    without ``ip6tables``. A port that is published on every IPv6 address counts only if the node
    has a global IPv6 address.
    """
    if not proxied(node):
        return ()
    return tuple(item for item in node.reach.proxied if _is_only_by_proxy(node, item))


def needs_proxy(node: Node) -> tuple[Lost, ...]:
    """Return what clients and containers lose when dockerd starts without docker-proxy."""
    return tuple(_lost(node)) if proxied(node) else ()


def _lost(node: Node) -> Iterator[Lost]:
    others = _without_rules(node)
    for item in node.reach.proxied:
        if _is_only_by_proxy(node, item) or (_of(item) in others and _is_reached(node, item)):
            yield Lost(item)
        elif containers := _neighbours(node, item):
            yield Lost(item, containers)


def drops_between_bridges(node: Node) -> bool:
    """Return True if dockerd's rules drop what one bridge network sends to a port of another."""
    version = dockerd_version(node)
    return version is None or version < NEIGHBOURS_SINCE


def _neighbours(node: Node, item: Published) -> tuple[str, ...]:
    """
    Return the containers that reach this port by the node's address only through docker-proxy.

    dockerd's rule leads to the container's address on one network, and its other rules drop what
    comes from another one. Of a container with several networks it is not known which one its
    packets leave through, so it counts. Seen with 26.1.5 and 29.7.1: with ``icc`` off on that
    network, its containers do not reach the port, the one that publishes it neither. Seen with
    20.10.24 and 26.1.5: for UDP on every address docker-proxy answers a container from another
    address, which the container refuses.
    """
    if item.is_loopback or not item.container:
        return ()
    if item.protocol == "udp" and item.is_wildcard:
        return ()
    networks: dict[str, set[str]] = {}
    for place in node.reach.joined:
        if not item.is_ipv6 or place.address6:
            networks.setdefault(place.container, set()).add(place.network)
    behind = {
        place.network
        for place in node.reach.joined
        if place.container == item.container
        and (not item.running or item.address in (place.address, place.address6))
    }
    dropped = drops_between_bridges(node)
    if "" in behind:  # no traffic between containers
        return tuple(sorted(name for name, inside in networks.items() if dropped or "" in inside))
    if not dropped:
        return ()
    keeps = {name for name, inside in networks.items() if len(behind) == 1 and inside == behind}
    return tuple(sorted(networks.keys() - keeps - {item.container}))


def _without_rules(node: Node) -> set[str]:
    """
    Return the containers for which dockerd cannot make its nftables rules without docker-proxy.

    This happens if one port of a container is published twice, on two ports or addresses of the
    node: "rule exists". Seen with 29.7.1; moby v29
    daemon/libnetwork/drivers/bridge/internal/nftabler, port.go, setPerPortHairpinMasq.
    """
    if not uses_nftables(node):
        return set()
    times = Counter(
        (_of(item), item.protocol, item.version, item.own)
        for item in node.reach.proxied
        if not item.is_translated
    )
    return {container for (container, *_), count in times.items() if count > 1}


def _of(item: Published) -> str:
    return item.container or item.address


def _is_reached(node: Node, item: Published) -> bool:
    return bool(node.reach.outer6) or not (item.is_ipv6 and item.is_wildcard)


def _is_only_by_proxy(node: Node, item: Published) -> bool:
    if not _is_reached(node, item):
        return False
    if item.is_translated:
        return True
    return not (_has_ip6tables(node) if item.is_ipv6 else _is_on(node, "iptables", True))


def _has_ip6tables(node: Node) -> bool:
    version = dockerd_version(node)
    if version is not None and version[0] >= IP6TABLES_SINCE:
        return _is_on(node, "ip6tables", True)
    return _is_on(node, "ip6tables", False) and _is_on(node, "experimental", False)


def _is_on(node: Node, key: str, default: bool) -> bool:
    value = value_in_force(node, key)
    return default if value is None else value in (True, "true")
