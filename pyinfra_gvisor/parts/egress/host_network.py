"""Collect what a node's rules depend on besides its settings: bridges and resolvers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address

from pyinfra_gvisor.parts.egress.dockerd import Dockerd
from pyinfra_gvisor.parts.egress.settings import Egress
from pyinfra_gvisor.parts.egress.state import EgressState

# Default names of Docker's bridges: libnetwork/drivers/bridge of moby/moby (docker0, or br- and
# twelve digits of the network's id) and daemon/cluster/executor (docker_gwbridge).
_DOCKERS_OWN = re.compile(r"docker0|docker_gwbridge|br-[0-9a-f]{12}")

# Matches bridges of any name; needs Linux 5.1 and nft 0.9.1. Ubuntu 22.04 has 5.15 and 1.0.2.
FROM_BRIDGE, TO_BRIDGE = 'meta iifkind "bridge"', 'meta oifkind "bridge"'
LONGEST = 15  # IFNAMSIZ without its terminating zero byte


@dataclass(frozen=True)
class Surroundings:
    """
    A node as the rules see it. Names are in nft's notation: a ``*`` at the end is a wildcard.

    Every bridge connects containers, and so does each of ``interfaces``. ``excluded`` are not
    filtered. Packets from ``foreign`` bridges are filtered like those from containers; containers
    reach machines on them only as they reach the outside. ``resolvers`` may be queried on port 53.
    Docker itself may also query ``own_resolvers``, those of the node. ``dockers`` are bridges of
    its networks that are excluded, and lead nowhere else.
    """

    interfaces: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    resolvers: tuple[str, ...] = ()
    own_resolvers: tuple[str, ...] = ()
    dockers: tuple[str, ...] = ()
    dockerd: Dockerd = field(default_factory=Dockerd)


def surroundings(found: EgressState, egress: Egress, dockerd: Dockerd) -> Surroundings:
    """Return what the rules depend on. Docker uses the resolvers that daemon.json names instead."""
    asked = resolvers(found, dockerd.dns) if egress.dns is None else egress.dns
    return Surroundings(
        interfaces=tuple(dict.fromkeys(egress.interfaces)),
        excluded=tuple(dict.fromkeys((*egress.exclude, *_written(outside(found, egress))))),
        foreign=_written(foreign(found, egress)),
        resolvers=tuple(sorted(set(asked))),
        own_resolvers=tuple(sorted({*asked, *resolvers(found)})),
        dockers=_written(
            item.bridge
            for item in found.networks
            if matches(item.bridge, egress.exclude)
            and item.bridge not in (*found.uplinks, *found.ports)
        ),
        dockerd=dockerd,
    )


def outside(found: EgressState, egress: Egress) -> dict[str, str]:
    """
    Return the bridges that are not filtered, each with the reason.

    A bridge that connects the node itself to its network must never be filtered. If ``interfaces``
    names one, it is not in the result, and ``lockouts`` refuses the rules.
    """
    reasons = {}
    for name in sorted(found.bridges):
        is_excluded = matches(name, egress.exclude)
        if matches(name, egress.interfaces) and not is_excluded:
            continue
        if name in found.uplinks:
            reasons[name] = "carries the default route"
        elif name in found.ports:
            reasons[name] = f"has a port that leaves this node ({found.ports[name]})"
        elif is_excluded:
            reasons[name] = "is in gvisor_egress['exclude']"
    return reasons


def foreign(found: EgressState, egress: Egress) -> tuple[str, ...]:
    """
    Return the bridges that Docker did not create and that the settings do not name.

    They are filtered: a bridge of another engine's containers looks like one of virtual machines,
    and a wrong guess would let containers out. Empty if Docker's networks are not known.
    """
    if not found.networks:
        return ()
    known = {*(item.bridge for item in found.networks), *outside(found, egress)}
    return tuple(
        name
        for name in sorted(set(found.bridges) - known)
        if not _DOCKERS_OWN.fullmatch(name) and not matches(name, egress.interfaces)
    )


def filters_bridges(rules: str) -> bool:
    """Return True if these rules of a node filter every bridge."""
    return f"{FROM_BRIDGE} goto" in rules


def literal(name: str) -> str | None:
    """
    Return an interface's name in nft's notation, or ``None`` if nft cannot express it.

    nft's only escape is ``\\*`` at the end, which must fit into the 15 bytes of a name. Facts show
    a byte that is not ASCII as ``?``.
    """
    text = f"{name[:-1]}\\*" if name.endswith("*") else name
    is_plain = name.isascii() and name.isprintable() and not {*name} & {'"', "?"}
    is_clear = text == name or ("\\" not in name and len(text) <= LONGEST)
    return text if is_plain and is_clear else None


def resolvers(found: EgressState, dns: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the resolvers that get containers' queries, without the node's own on loopback."""
    return tuple(text for text in map(_remote, tuple(dns) or found.resolvers) if text)


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Return True if nft matches a name by one of these: ``br-*``, ``docker0``, ``odd\\*``."""
    return any(
        name == f"{pattern[:-2]}*"
        if pattern.endswith("\\*")
        else name.startswith(pattern[:-1])
        if pattern.endswith("*")
        else name == pattern
        for pattern in patterns
    )


def _written(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(text for text in map(literal, names) if text is not None)


def _remote(text: str) -> str | None:
    """Return the address as packets carry it; None if it is no address or is a loopback address."""
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return None if (mapped or found).is_loopback else str(mapped or found)
