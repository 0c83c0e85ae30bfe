"""What the rules of one node depend on beside its settings: bridges and resolvers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from pyinfra_gvisor.parts.egress.settings import Egress
from pyinfra_gvisor.parts.egress.state import EgressState

# How Docker calls a bridge that nobody has named: libnetwork/drivers/bridge of moby/moby (docker0,
# br- and twelve digits of the network's id), and daemon/cluster/executor (docker_gwbridge).
_DOCKERS_OWN = re.compile(r"docker0|docker_gwbridge|br-[0-9a-f]{12}")

# By kind, whatever its name: since Linux 5.1 and nft 0.9.1. Ubuntu 22.04 has 5.15 and 1.0.2.
FROM_BRIDGE, TO_BRIDGE = 'meta iifkind "bridge"', 'meta oifkind "bridge"'
LONGEST = 15  # IFNAMSIZ without the byte that ends it


@dataclass(frozen=True)
class Surroundings:
    """
    The node as the rules see it. Names are as nft writes them: a ``*`` at the end is a wildcard.

    Every bridge connects containers, and so does each of ``interfaces``. ``excluded`` are left
    alone. ``foreign`` bridges are filtered like those of containers, but what is behind them is
    beyond the containers' own networks. ``resolvers`` are the addresses that may be asked.
    """

    interfaces: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    resolvers: tuple[str, ...] = ()


def surroundings(found: EgressState, egress: Egress, dns: Iterable[str] = ()) -> Surroundings:
    """
    Return what the rules have to know of a node.

    + dns: the resolvers that daemon.json names, which Docker then takes instead of the node's
    """
    asked = resolvers(found, dns) if egress.dns is None else egress.dns
    return Surroundings(
        interfaces=tuple(dict.fromkeys(egress.interfaces)),
        excluded=tuple(dict.fromkeys((*egress.exclude, *_written(outside(found, egress))))),
        foreign=_written(foreign(found, egress)),
        resolvers=tuple(sorted(set(asked))),
    )


def outside(found: EgressState, egress: Egress) -> dict[str, str]:
    """
    Return the bridges that are left alone, each with the reason.

    A bridge that the node itself is reached by must never be filtered, unless ``interfaces`` names
    it: then the rules are refused.
    """
    reasons = {}
    for name in sorted(found.bridges):
        is_excluded = matches(name, egress.exclude)
        if matches(name, egress.interfaces) and not is_excluded:
            continue
        if name in found.uplinks:
            reasons[name] = "carries the default route"
        elif name in found.ports:
            reasons[name] = f"has a port that leaves this node, {found.ports[name]}"
        elif is_excluded:
            reasons[name] = "is in gvisor_egress['exclude']"
    return reasons


def foreign(found: EgressState, egress: Egress) -> tuple[str, ...]:
    """
    Return the bridges that Docker did not make and that the settings do not name.

    They are filtered all the same. Nothing tells a bridge of another engine's containers from one
    of virtual machines, and an exception made by guessing would be a way out. Where Docker tells no
    networks, no bridge is taken for somebody else's.
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
    """Return True if these rules, as they lie on a node, are for every bridge."""
    return f"{FROM_BRIDGE} goto" in rules


def literal(name: str) -> str | None:
    """
    Return an interface's name as nft writes it, or ``None`` if nft has no way to.

    nft knows no escape but ``\\*`` at the end, which has to fit into the 15 bytes of a name. Facts
    tell a byte that is no ASCII as ``?``.
    """
    text = f"{name[:-1]}\\*" if name.endswith("*") else name
    is_plain = name.isascii() and name.isprintable() and not {*name} & {'"', "?"}
    is_clear = text == name or ("\\" not in name and len(text) <= LONGEST)
    return text if is_plain and is_clear else None


def resolvers(found: EgressState, dns: Iterable[str] = ()) -> tuple[str, ...]:
    """Those that Docker asks for containers; one on loopback is asked by the node itself."""
    return tuple(text for text in map(_remote, tuple(dns) or found.resolvers) if text)


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Return whether nft takes an interface for one of these: ``br-*``, ``docker0``, ``odd\\*``."""
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
    """The address as packets have it; None for what is none, and for the node's own loopback."""
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return None if (mapped or found).is_loopback else str(mapped or found)
