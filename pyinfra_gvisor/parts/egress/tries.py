"""Choose the destinations that a probe tries, to see what the firewall does with them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_address
from typing import get_args

from pyinfra_gvisor.parts.egress.settings import Block, Egress, port_range

NO_FIREWALL = "no firewall is declared (gvisor_egress)"
ONLY_REPORTS = 'gvisor_egress blocks nothing: its mode is "report"'
GATEWAY = "gateway"  # stands for the node's address in the probe's own network

_SERVICE = "169.254.169.254"
# The last addresses of the IPv4 networks in egress.settings.PRIVATE, which hardly any host has.
_PRIVATE = ("10.255.255.254", "172.31.255.254", "192.168.255.254", "100.127.255.254")
# One address of each network reserved for documentation: RFC 5737
_NOBODYS = ("192.0.2.1", "198.51.100.1", "203.0.113.1")
_HTTP, _SMTP = 80, 25
_NODE_PORTS = (22, 111, 2375)  # ssh, rpcbind, Docker's API


@dataclass(frozen=True)
class Try:
    """A TCP connection to the first of these IPv4 addresses that is suitable on the node."""

    addresses: tuple[str, ...]
    port: int


def tries(egress: Egress | None) -> dict[str, Try | str]:
    """Return what to try, or why nothing is tried, by the check's id without ``egress-``."""
    kinds = (*get_args(Block), "allowed")
    if egress is None:
        return dict.fromkeys(kinds, NO_FIREWALL)
    if egress.only_reports:
        return dict.fromkeys(kinds, ONLY_REPORTS)
    found: dict[str, Try | str] = {
        "metadata": _beyond(egress, (_SERVICE,), _HTTP),
        "private": _beyond(egress, _PRIVATE, _HTTP),
        "smtp": _mail(egress),
        "node": _node(egress),
        "allowed": _allowed(egress),
    }
    return {kind: found[kind] if _is_declared(egress, kind) else _left_out(kind) for kind in kinds}


def _is_declared(egress: Egress, kind: str) -> bool:
    return kind == "allowed" or kind in egress.block


def _left_out(kind: str) -> str:
    return f"`block` of gvisor_egress does not include {kind}"


def _beyond(egress: Egress, addresses: Iterable[str], port: int) -> Try | str:
    """Leave out addresses in ``allow``, which show nothing about ``block``."""
    left = tuple(item for item in addresses if not _is_opened(egress, item, port))
    return Try(left, port) if left else "`allow` includes every test address"


def _is_opened(egress: Egress, address: str, port: int) -> bool:
    return any(
        item.network is not None
        and ip_address(address) in item.network
        and (not item.ports or port in _tcp(item.ports))
        for item in egress.allow
    )


def _mail(egress: Egress) -> Try | str:
    ports = egress.smtp_ports
    if not ports:
        return "`smtp_ports` is empty"
    return _beyond(egress, _NOBODYS, _SMTP if _SMTP in ports else ports[0])


def _node(egress: Egress) -> Try | str:
    opened = _tcp(egress.node_ports)
    closed = [port for port in _NODE_PORTS if port not in opened]
    if not closed:
        return "`node_ports` includes every test port"
    return Try((GATEWAY,), closed[0])


def _allowed(egress: Egress) -> Try | str:
    for item in egress.allow:
        to, ports = item.network, _tcp(item.ports)
        if isinstance(to, IPv4Network) and to.num_addresses == 1 and ports:
            return Try((str(to.network_address),), min(ports))
    return "`allow` has no IPv4 address with a TCP port"


def _tcp(texts: Iterable[str]) -> set[int]:
    found = [port_range(text) for text in texts]
    return {
        port
        for first, last, protocol in found
        if protocol == "tcp"
        for port in range(first, last + 1)
    }
