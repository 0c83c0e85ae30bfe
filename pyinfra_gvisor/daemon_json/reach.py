"""Which published ports depend on dockerd's userland-proxy."""

from __future__ import annotations

from collections import Counter

from pyinfra_gvisor.daemon_json.in_force import value_in_force
from pyinfra_gvisor.daemon_json.validation import dockerd_version
from pyinfra_gvisor.node import Node
from pyinfra_gvisor.node.reach import Published

USERLAND_PROXY = "userland-proxy"
IP6TABLES_SINCE = 27  # on unless switched off: docs.docker.com/engine/release-notes/27/


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


def needs_proxy(node: Node) -> tuple[Published, ...]:
    """Return the published ports that clients lose when dockerd starts without docker-proxy."""
    if not proxied(node):
        return ()
    others = _without_rules(node)
    return tuple(
        item
        for item in node.reach.proxied
        if _is_only_by_proxy(node, item) or (_of(item) in others and _is_reached(node, item))
    )


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
