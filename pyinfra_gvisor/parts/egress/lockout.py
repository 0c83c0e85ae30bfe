"""Refuse rules that would cut the controller's SSH, Docker's DNS or published ports."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_address

from pyinfra_gvisor.base.errors import Problem, cut
from pyinfra_gvisor.parts.egress.dockerd import filters_docker, log_server
from pyinfra_gvisor.parts.egress.host_network import (
    Surroundings,
    filters_bridges,
    foreign,
    literal,
    matches,
    outside,
    resolvers,
)
from pyinfra_gvisor.parts.egress.rules import blocks, holds_for_docker, name_set
from pyinfra_gvisor.parts.egress.settings import (
    METADATA,
    PRIVATE,
    Allowed,
    Egress,
    network,
    port_range,
    translated,
)
from pyinfra_gvisor.parts.egress.state import EgressState, Log

DNS_PORT = "53"
ASK_METADATA = ("awslogs", "gcplogs")
_METADATA = "169.254.169.254"


def lockouts(found: EgressState, egress: Egress, around: Surroundings) -> list[Problem]:
    """
    Return the reasons why these rules must not be loaded on this node; empty if they may.

    If dockerd runs its userland-proxy, containers reach published ports of the node through it.
    """
    return [
        *_uplinks(found, egress, around),
        *_left_open(found, egress),
        *_cut_off(found, egress),
        *_ssh(found, egress, around),
        *_dns(found, egress, around),
        *(_published(found, egress) if around.dockerd.proxied else ()),
        *(_logs(found, egress, around) if filters_docker(egress, around.dockerd) else ()),
    ]


def _is_filtered(name: str, found: EgressState, around: Surroundings) -> bool:
    connects = name in found.bridges or matches(name, around.interfaces)
    return connects and not matches(name, around.excluded)


def _uplinks(found: EgressState, egress: Egress, around: Surroundings) -> Iterator[Problem]:
    for name in dict.fromkeys((*found.uplinks, *outside(found, egress))):
        if not _is_filtered(name, found, around):
            continue
        if literal(name) is None:
            yield Problem(
                "a bridge that connects this node to its network would be filtered like a "
                "container interface: nft cannot express its name",
                got=name,
                todo="rename the bridge, for example to br0",
            )
        else:
            yield Problem(
                "the interface connects this node to its network; filtering it like a container "
                "interface would cut published ports and other services of the node",
                got=name,
                todo="remove it from gvisor_egress['interfaces']",
            )


def _left_open(found: EgressState, egress: Egress) -> Iterator[Problem]:
    """Refuse Docker networks whose bridge cannot be filtered: it connects the node itself."""
    left_alone = outside(found, egress)
    for item in found.networks:
        if item.bridge in left_alone and not matches(item.bridge, egress.exclude):
            yield Problem(
                f"containers of the Docker network {item.name} would not be filtered: its bridge "
                f"{left_alone[item.bridge]}",
                got=item.bridge,
                todo="move its containers to another network, or accept that: add the bridge to "
                "gvisor_egress['exclude']",
            )


def _cut_off(found: EgressState, egress: Egress) -> Iterator[Problem]:
    """Refuse to filter a bridge for the first time unless the settings name it."""
    if filters_bridges(found.rules or "") and blocks(found.rules or ""):
        return
    for name in foreign(found, egress):
        yield Problem(
            "Docker did not create this bridge; machines on it would be filtered like containers: "
            "no DHCP from this node, no private networks",
            got=name,
            todo="add it to gvisor_egress['exclude'] to leave it alone, or to ['interfaces'] to "
            "filter it",
        )


def _ssh(found: EgressState, egress: Egress, around: Surroundings) -> Iterator[Problem]:
    ssh = found.ssh
    if ssh is None or "node" not in egress.block:
        return
    if not _is_filtered(ssh.interface, found, around):
        return
    if not covered(f"{ssh.port}/tcp", egress.node_ports):
        yield Problem(
            f"the rules would cut this SSH connection: it comes from {ssh.client} over a container "
            "interface",
            got=ssh.interface,
            todo=f"add '{ssh.port}' to gvisor_egress['node_ports']; if the interface connects no "
            "containers, add it to gvisor_egress['exclude'] instead",
        )


def _dns(found: EgressState, egress: Egress, around: Surroundings) -> Iterator[Problem]:
    for resolver in resolvers(found, around.dockerd.dns):
        if resolver in around.resolvers or _is_allowed(resolver, egress):
            continue
        if is_blocked(resolver, egress):
            yield Problem(
                "the rules would block a resolver that Docker's DNS uses",
                got=resolver,
                todo="remove gvisor_egress['dns'], or add the resolver to it",
            )


def _published(found: EgressState, egress: Egress) -> Iterator[Problem]:
    """Refuse to cut ports that dockerd's userland-proxy, a process of the node, serves."""
    if "node" not in egress.block:
        return
    cut = [port for port in found.published if not covered(port, egress.node_ports)]
    if cut:
        yield Problem(
            "containers could no longer reach published ports of this node: dockerd's "
            "userland-proxy serves them, and counts as the node itself",
            got=", ".join(cut),
            todo='set gvisor_daemon_json = {"userland-proxy": False}, or add these ports to '
            "gvisor_egress['node_ports']",
        )


def _logs(found: EgressState, egress: Egress, around: Surroundings) -> Iterator[Problem]:
    """
    Refuse to cut logs: dockerd starts no container whose log server it cannot reach.

    ``awslogs`` and ``gcplogs`` ask the metadata service for credentials. If the rules on the node
    cut a server already, a container that somebody starts must not refuse every run.
    """
    allowed = (*egress.allow, *egress.docker_allow, *around.dockerd.peers)
    for item in found.logs:
        for host, address, port in _log_ends(item):
            is_own = item.is_own or ip_address(address).is_loopback
            if is_own and port in found.published and not ip_address(address).is_loopback:
                continue  # to Docker as open as to everybody
            if not (is_own and "node" in egress.block) and not is_blocked(address, egress):
                continue
            if any(_opens(one, host, address, port) for one in allowed):
                continue
            if _is_cut(found.rules or "", host, address, port):
                continue
            yield Problem(
                f"dockerd could no longer send the logs of container {cut(item.container)} "
                f"({item.driver}), and would not start it again",
                got=f"{host} {port}".strip(),
                todo="add it to gvisor_egress['docker_allow']",
            )


_CHAIN = re.compile(r"\tchain beyond_docker \{\n(.*?)\n\t\}", re.DOTALL)
_ACCEPT = re.compile(
    r"\s*ip6? daddr (\S+)(?: (tcp|udp) dport \{ ([^}]+) \})?(?: counter name \w+)? accept"
)


def _is_cut(rules: str, host: str, address: str, port: str) -> bool:
    """Return True if these rules of a node block what Docker sends there."""
    if not (holds_for_docker(rules) and blocks(rules)):
        return False
    chain = _CHAIN.search(rules)
    for found in filter(None, map(_ACCEPT.fullmatch, chain[1].splitlines() if chain else ())):
        to, protocol, ports = found.groups()
        ranges = [f"{item}/{protocol}" for item in ports.split(", ")] if ports else []
        is_there = (
            to.startswith(f"@{name_set(host)}_")
            if to.startswith("@")
            else ip_address(address) in network(to)
        )
        if is_there and (not ranges or (port != "" and covered(port, ranges))):
            return False
    return True


def _log_ends(item: Log) -> Iterator[tuple[str, str, str]]:
    """Yield host, address and port to which dockerd sends logs, if the address is known."""
    if item.driver in ASK_METADATA:
        yield _METADATA, _METADATA, "80/tcp"
    for to in log_server(item.driver, item.address):
        address = item.at or (to.network and str(to.network[0]))
        if address:
            port = next(iter(to.ports), "")
            yield to.to, address, port if "/" in port or not port else f"{port}/tcp"


def _opens(one: Allowed, host: str, address: str, port: str) -> bool:
    is_there = one.to == host or (one.network is not None and ip_address(address) in one.network)
    return is_there and (not one.ports or (port != "" and covered(port, one.ports)))


def is_blocked(address: str, egress: Egress) -> bool:
    """Return True if ``block`` or ``deny`` covers this address; ``allow`` is not considered."""
    blocked = [
        *(METADATA if "metadata" in egress.block else ()),
        *(PRIVATE if "private" in egress.block else ()),
        *egress.deny,
        *translated(egress.deny),
    ]
    return any(ip_address(address) in network(text) for text in blocked)


def _is_allowed(address: str, egress: Egress) -> bool:
    return any(_opens(item, address, address, f"{DNS_PORT}/udp") for item in egress.allow)


def covered(port: str, ranges: Iterable[str]) -> bool:
    """Return True if a port such as ``53/udp`` is in one of the ranges."""
    number, _, protocol = port.partition("/")
    return any(
        kind == protocol and low <= int(number) <= high
        for low, high, kind in map(port_range, ranges)
    )
