"""What the rules of one node depend on beside its settings: interfaces and resolvers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from pyinfra_gvisor.parts.egress.settings import DOCKERS_BRIDGES, Egress
from pyinfra_gvisor.parts.egress.state import EgressState

# What Docker calls a bridge that nobody has named: br- and twelve digits of the network's id.
_DOCKERS_OWN = re.compile(r"docker0|docker_gwbridge|br-[0-9a-f]{12}")


@dataclass(frozen=True)
class Surroundings:
    """
    ``interfaces`` are names, or beginnings and ``*``, that containers are behind; ``excluded``
    those that match and are somebody else's. ``resolvers`` are the addresses that may be asked.
    """

    interfaces: tuple[str, ...] = DOCKERS_BRIDGES
    excluded: tuple[str, ...] = ()
    resolvers: tuple[str, ...] = ()


def surroundings(found: EgressState, egress: Egress, dns: Iterable[str] = ()) -> Surroundings:
    """
    What the rules have to know of a node.

    + dns: the resolvers that daemon.json names, which Docker then takes instead of the node's

    A bridge that only looks like one of Docker's, such as a node's ``br-lan``, is excluded; what
    ``gvisor_egress`` itself names is not.
    """
    named = [item.bridge for item in found.networks if item.bridge]
    custom = sorted(name for name in named if not matches(name, DOCKERS_BRIDGES))
    interfaces = _apart((*DOCKERS_BRIDGES, *custom, *egress.interfaces))
    others = {*found.uplinks, *found.bridges} - {*named}
    excluded = sorted(
        name
        for name in others
        if matches(name, DOCKERS_BRIDGES)
        and not _DOCKERS_OWN.fullmatch(name)
        and not matches(name, egress.interfaces)
    )
    asked = resolvers(found, dns) if egress.dns is None else egress.dns
    return Surroundings(interfaces, tuple(excluded), tuple(sorted(set(asked))))


def resolvers(found: EgressState, dns: Iterable[str] = ()) -> tuple[str, ...]:
    """Those that Docker asks for containers; one on loopback is asked by the node itself."""
    return tuple(text for text in map(_remote, tuple(dns) or found.resolvers) if text)


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether an interface is one of those: a ``*`` at the end stands for anything, as in nft."""
    return any(
        name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
        for pattern in patterns
    )


def _apart(names: Iterable[str]) -> tuple[str, ...]:
    """Without those that another has in it: a packet is to be counted and rated once."""
    every = dict.fromkeys(names)
    return tuple(name for name in every if not matches(name, (it for it in every if it != name)))


def _remote(text: str) -> str | None:
    """The address as packets have it; None for what is none, and for the node's own loopback."""
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return None if (mapped or found).is_loopback else str(mapped or found)
