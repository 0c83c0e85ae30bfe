"""What rules would cut that must not be: our own way in, Docker's DNS, published ports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address

from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.parts.egress.settings import (
    METADATA,
    PRIVATE,
    Egress,
    network,
    port_range,
    translated,
)
from pyinfra_gvisor.parts.egress.state import EgressState
from pyinfra_gvisor.parts.egress.surroundings import (
    Surroundings,
    filters_bridges,
    foreign,
    literal,
    matches,
    outside,
    resolvers,
)

DNS_PORT = "53"


def lockouts(
    found: EgressState,
    egress: Egress,
    around: Surroundings,
    *,
    dns: Iterable[str] = (),
    proxied: bool = False,
) -> list[Problem]:
    """
    Every reason why these rules must not be loaded on this node; none if they may.

    + dns: the resolvers that daemon.json names
    + proxied: whether dockerd has its userland-proxy, through which containers reach ports that
      are published on the node
    """
    return [
        *_uplinks(found, egress, around),
        *_left_open(found, egress),
        *_cut_off(found, egress),
        *_ssh(found, egress, around),
        *_dns(found, egress, around, tuple(dns)),
        *(_published(found, egress) if proxied else ()),
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
                "a bridge by which this node is reached has a name that nft cannot express, and "
                "would be filtered like one of containers",
                got=name,
                todo="give the bridge a plain name, such as br0",
            )
        else:
            yield Problem(
                "the node's way out is taken for an interface of containers, which cuts ports that "
                "are published and whatever is served here",
                got=name,
                todo="take it out of gvisor_egress['interfaces']",
            )


def _left_open(found: EgressState, egress: Egress) -> Iterator[Problem]:
    """A network of Docker's by whose bridge the node is reached cannot be filtered."""
    left_alone = outside(found, egress)
    for item in found.networks:
        if item.bridge in left_alone and not matches(item.bridge, egress.exclude):
            yield Problem(
                f"network {item.name} would stay outside of the firewall: its bridge "
                f"{left_alone[item.bridge]}",
                got=item.bridge,
                todo="give its containers another network, or write the bridge into "
                "gvisor_egress['exclude']",
            )


def _cut_off(found: EgressState, egress: Egress) -> Iterator[Problem]:
    """What was never filtered is not cut off by a run that nobody has looked at."""
    if filters_bridges(found.rules or ""):
        return
    for name in foreign(found, egress):
        yield Problem(
            "a bridge is not Docker's, and what is behind it would be filtered like containers: no "
            "DHCP from this node, no private networks",
            got=name,
            todo="write it into gvisor_egress['exclude'] to leave it alone, or into ['interfaces'] "
            "to have it filtered",
        )


def _ssh(found: EgressState, egress: Egress, around: Surroundings) -> Iterator[Problem]:
    ssh = found.ssh
    if ssh is None or "node" not in egress.block:
        return
    if not _is_filtered(ssh.interface, found, around):
        return
    if not covered(f"{ssh.port}/tcp", egress.node_ports):
        yield Problem(
            f"the controller's own ssh, from {ssh.client}, arrives on an interface of containers",
            got=ssh.interface,
            todo=f"write '{ssh.port}' into gvisor_egress['node_ports']; if no containers are "
            "behind the interface, write it into gvisor_egress['exclude'] instead",
        )


def _dns(
    found: EgressState, egress: Egress, around: Surroundings, dns: tuple[str, ...]
) -> Iterator[Problem]:
    for resolver in resolvers(found, dns):
        if resolver in around.resolvers or _is_allowed(resolver, egress):
            continue
        if is_blocked(resolver, egress):
            yield Problem(
                "Docker's DNS asks a resolver that would be stopped",
                got=resolver,
                todo="leave gvisor_egress['dns'] out, or write the resolver into it",
            )


def _published(found: EgressState, egress: Egress) -> Iterator[Problem]:
    """With the proxy a container's own network is served by a process of the node's."""
    if "node" not in egress.block:
        return
    cut = [port for port in found.published if not covered(port, egress.node_ports)]
    if cut:
        yield Problem(
            "containers reach ports that are published on this node through dockerd's "
            "userland-proxy, which is the node's own",
            got=", ".join(cut),
            todo='set gvisor_daemon_json = {"userland-proxy": False}, or write these into '
            "gvisor_egress['node_ports']",
        )


def is_blocked(address: str, egress: Egress) -> bool:
    """Whether what is blocked has this address in it, allow lists apart."""
    blocked = [
        *(METADATA if "metadata" in egress.block else ()),
        *(PRIVATE if "private" in egress.block else ()),
        *egress.deny,
        *translated(egress.deny),
    ]
    return any(ip_address(address) in network(text) for text in blocked)


def _is_allowed(address: str, egress: Egress) -> bool:
    return any(
        ip_address(address) in network(item.to)
        and (not item.ports or covered(f"{DNS_PORT}/udp", item.ports))
        for item in egress.allow
    )


def covered(port: str, ranges: Iterable[str]) -> bool:
    """Whether a port such as ``53/udp`` is in one of the ranges."""
    number, _, protocol = port.partition("/")
    return any(
        kind == protocol and low <= int(number) <= high
        for low, high, kind in map(port_range, ranges)
    )
