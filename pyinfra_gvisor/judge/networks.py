"""
Which addresses of others a network of Docker would take.

dockerd gives the node an address in each network, and a route to it: what the node sends to these
addresses then reaches a container.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyinfra_gvisor.judge.docker_files import read_object

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

# Metadata services of clouds: they give a node's identity and credentials to whoever asks.
LINK_LOCAL = "fe80::/10"
METADATA: dict[str, str] = {
    # RFC 3927; AWS, Azure, Google, Hetzner, DigitalOcean, OpenStack and others answer at .169.254
    "169.254.0.0/16": "link-local, with the metadata services at 169.254.169.254",
    # https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
    "168.63.129.16/32": "Azure's WireServer",
    # https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata
    "100.100.100.200/32": "Alibaba Cloud",
    # RFC 6890: protocol assignments, never on the open internet; some clouds have used them
    "192.0.0.0/24": "special addresses of RFC 6890",
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
    "fd00:ec2::254/128": "AWS",
    # https://cloud.google.com/compute/docs/metadata/querying-metadata
    "fd20:ce::254/128": "Google Cloud",
    LINK_LOCAL: "link-local, RFC 4291",
}
LOCAL: dict[str, str] = {
    "10.0.0.0/8": "private networks, RFC 1918",
    "172.16.0.0/12": "private networks, RFC 1918",
    "192.168.0.0/16": "private networks, RFC 1918",
    "100.64.0.0/10": "carrier-grade NAT and VPNs, RFC 6598",
    "fc00::/7": "private networks, RFC 4193",
}
# Docker's drivers that connect containers to an interface of the node:
# https://docs.docker.com/engine/network/drivers/
PAST_BRIDGES = ("macvlan", "ipvlan")
_DRIVERS = ("", "default", "bridge", "overlay")
# What else an option can do: take the bridge of others, addresses of the node, and its interfaces.
_OPTIONS = re.compile(
    r"com\.docker\.network\.(driver\.(mtu|overlay\.vxlanid_list)|container_iface_prefix"
    r"|bridge\.(name|enable_icc|enable_ip_masquerade|host_binding_ipv4"
    r"|gateway_mode_ipv[46]|inhibit_ipv4))|encrypted"
)
_NAMES = re.compile(r"(br|docker)[\w.-]*", re.ASCII)
_LARGEST = {4: 16, 6: 48}
"""The shortest prefix of a subnet: others need addresses, too."""
BRIDGE = "com.docker.network.bridge.name"
_DOCKERS_BRIDGES = ("docker", "br-")
_IFNAME = "com.docker.network.endpoint.ifname"
_RESOLVERS = ("/run/systemd/resolve/resolv.conf", "/etc/resolv.conf")


def wrong_addresses(subnet: str, reserved: Mapping[str, str], own: Iterable[str]) -> Iterator[str]:
    """
    Return what a subnet takes of others, and whether it is in none of its own networks.

    + reserved: whose each address or network is; ``own``: networks that Docker may use
    """
    taken = _network(subnet)
    if taken is None:
        yield "is not a subnet"
        return
    for text, what in reserved.items():
        other = _network(text)
        if other and taken.version == other.version and taken.overlaps(other):
            yield f"overlaps with {text} ({what})"
    if not any(_is_within(taken, other) for other in map(_network, own) if other):
        yield "is not private"
    elif taken.prefixlen < _LARGEST[taken.version]:
        yield f"is larger than /{_LARGEST[taken.version]}"


def refused_network(body: Mapping[str, Any], daemon_json: str, root: str = "/") -> list[str]:
    """
    Return what a network may not have of what a request asks for, a phrase each.

    + body: as ``api_keys.NETWORK``; ``root``: of the node
    """
    driver, options = body.get("Driver") or "", body.get("Options") or {}
    found = [] if driver in _DRIVERS else [f"driver {driver}"]
    bridge = options.get(BRIDGE) or ""
    if bridge and (not _NAMES.fullmatch(bridge) or Path(root, "sys/class/net", bridge).exists()):
        found.append(f"the interface {bridge} of the node")
    if "parent" in options:
        found.append(f"the interface {options['parent']} of the node")
    others = (key for key in options if key != "parent" and not _OPTIONS.fullmatch(key))
    found += [f"option {key}" for key in sorted(others)]
    given = body.get("IPAM") or {}
    if (given.get("Driver") or "default") != "default":
        found.append(f"addresses of driver {given['Driver']}")
    subnets = [item.get("Subnet") or "" for item in given.get("Config") or () if item]
    if not any(subnets):
        return found
    reserved, own = _reserved(root), (*LOCAL, *_pools(daemon_json))
    for subnet in filter(None, subnets):
        found += [f"{subnet}, which {why}" for why in wrong_addresses(subnet, reserved, own)]
    return found


def refused_endpoint(endpoint: Mapping[str, Any]) -> list[str]:
    """Return what a container may not have of what it asks for in a network, a phrase each."""
    options = endpoint.get("DriverOpts") or {}
    return [f"option {key}" for key in sorted(options) if key != _IFNAME]


def _reserved(root: str) -> dict[str, str]:
    resolvers = dict.fromkeys(_resolvers(root), "a resolver of the node")
    return {**METADATA, **resolvers, **dict.fromkeys(_routes(root), "a network of the node")}


def _resolvers(root: str) -> Iterator[str]:
    for path in _RESOLVERS:
        try:
            text = Path(root, path[1:]).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        lines = (line.split() for line in text.splitlines())
        yield from (words[1] for words in lines if words[:1] == ["nameserver"] and words[1:])


def _routes(root: str) -> Iterator[str]:
    """Return the networks to which the node has a route that Docker did not make."""
    try:
        lines = Path(root, "proc/self/net/route").read_text(encoding="utf-8").splitlines()[1:]
    except OSError:
        lines = []
    yield from _routes6(root)
    for line in lines:
        name, to, _, _, _, _, _, mask = line.split()[:8]
        if int(mask, 16) and not name.startswith(_DOCKERS_BRIDGES):
            address = socket.inet_ntoa(int(to, 16).to_bytes(4, "little"))
            yield f"{address}/{int(mask, 16).bit_count()}"


def _routes6(root: str) -> Iterator[str]:
    try:
        lines = Path(root, "proc/self/net/ipv6_route").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        to, length, *_, name = line.split()
        if int(length, 16) and name != "lo" and not name.startswith(_DOCKERS_BRIDGES):
            address = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(to))
            yield f"{address}/{int(length, 16)}"


def _pools(daemon_json: str) -> list[str]:
    """Return the addresses that the operator gives to Docker's networks."""
    found = read_object(daemon_json) if Path(daemon_json).exists() else {}
    return [str(item.get("base")) for item in found.get("default-address-pools") or ()]


def _is_within(one: IPv4Network | IPv6Network, other: IPv4Network | IPv6Network) -> bool:
    same = one.version == other.version
    return same and one.overlaps(other) and one.prefixlen >= other.prefixlen


def _network(text: str) -> IPv4Network | IPv6Network | None:
    from ipaddress import ip_network  # noqa: PLC0415 - few questions need it, and it is slow to load

    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None
