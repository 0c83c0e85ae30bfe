"""The rules' text for any settings: well-formed, and of one mind with what the settings say."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address, ip_network
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pyinfra_gvisor.parts.egress.host_network import Surroundings, surroundings
from pyinfra_gvisor.parts.egress.rules import counters, rules_text
from pyinfra_gvisor.parts.egress.settings import (
    MAPPED,
    METADATA,
    PRIVATE,
    Egress,
    Network,
    port_range,
    translated,
)
from tests.unit.egress_packets import Packet, Table, members
from tests.unit.egress_states import egress, found

REASON = "drawn by the test"
NEAR = [*METADATA, *PRIVATE, "0.0.0.0/0", "::/0", "203.0.113.0/24", "2001:db8::/32"]
PROTOCOLS = ("tcp", "udp", "icmp")
SET = re.compile(r"(daddr|dport) \{ ([^}]+) \}")


def is_sayable(network: Network) -> bool:
    """Whether it is none that the settings refuse."""
    return not (isinstance(network, IPv6Network) and network.subnet_of(MAPPED))


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """A network, often one in, around or beside what is known."""
    base = ip_network(draw(st.sampled_from(NEAR)))
    if draw(st.booleans()):
        return base
    offset = draw(st.integers(0, min(base.num_addresses, 1 << 20) - 1))
    prefix = draw(st.integers(0, base.max_prefixlen))
    return ip_network((base.network_address + offset, prefix), strict=False)


TEXTS = networks().filter(is_sayable).map(str)
PORTS = st.builds(
    lambda first, more, protocol: f"{first}-{min(first + more, 65535)}{protocol}",
    st.integers(1, 65535) | st.sampled_from([22, 25, 53]),
    st.integers(0, 3),
    st.sampled_from(["", "/tcp", "/udp"]),
)
RATE = st.none() | st.integers(1, 1000)
ALLOWED = st.fixed_dictionaries(
    {"to": TEXTS, "ports": st.lists(PORTS, max_size=3), "reason": st.just(REASON)}
)
ADDRESSES = TEXTS.map(lambda text: str(ip_network(text).network_address))
NAMES = st.sampled_from(["virbr0", "virbr*", "br*", "docker*", "d*", "br-*", "cni0"])
EGRESS = st.fixed_dictionaries(
    {
        "block": st.lists(st.sampled_from(["metadata", "private", "node", "smtp"])),
        "allow": st.lists(ALLOWED, max_size=4),
        "deny": st.lists(TEXTS, max_size=6),
        "node_ports": st.lists(PORTS, max_size=4),
        "smtp_ports": st.lists(st.integers(1, 65535) | st.just(25), max_size=3),
        "dns": st.none() | st.lists(ADDRESSES, max_size=3),
        "new_connections_per_s": RATE,
        "log_per_minute": RATE,
        "interfaces": st.lists(NAMES, max_size=3),
        "exclude": st.lists(st.sampled_from(["br0", "lxd*"]), max_size=2),
    }
).map(lambda settings: egress(**settings))
AROUND = st.fixed_dictionaries(
    {
        "resolvers": st.lists(ADDRESSES | st.sampled_from(["::1", "x", "fe80::1%a"]), max_size=3),
        "uplinks": st.lists(st.sampled_from(["eth0", "br-lan", "br0", 'q"q', "e*"]), max_size=2),
        "bridges": st.lists(
            st.sampled_from(["docker0", "br-lan", "br-0123456789ab", 'q"q', "a\\b", "e*", "x\x01"]),
            max_size=3,
        ),
    }
)


@given(EGRESS, AROUND)
def test_the_text_is_well_formed(wanted: Egress, around: dict[str, Any]) -> None:
    text = rules_text(wanted, surroundings(found(**around), wanted))

    depth = 0
    for line in text.splitlines():
        depth += line.count("{") - line.count("}")
        assert depth >= 0
        assert line.count('"') % 2 == 0
        assert line.lstrip("\t").isprintable()
    assert depth == 0


@given(EGRESS, AROUND)
def test_everything_that_is_named_is_there_and_all_that_is_there_is_named(
    wanted: Egress, around: dict[str, Any]
) -> None:
    table = Table(rules_text(wanted, surroundings(found(**around), wanted)))

    words = " ".join(table.rules)
    assert set(re.findall(r"(?:jump|goto) (\w+)", words)) <= set(table.chains)
    assert set(re.findall(r"@(\w+)", words)) <= set(table.sets)
    assert set(re.findall(r"counter name (\w+)", words)) <= set(table.counters)
    assert len(table.counters) == len(set(table.counters))
    assert tuple(table.counters) == counters(wanted)


@given(EGRESS, AROUND)
def test_no_set_has_members_that_overlap(wanted: Egress, around: dict[str, Any]) -> None:
    rules = Table(rules_text(wanted, surroundings(found(**around), wanted))).rules

    for kind, text in SET.findall("\n".join(rules)):
        items = members(text)
        if kind == "dport":
            ranges = sorted(_ends(item) for item in items)
            assert all(one[1] < other[0] for one, other in pairwise(ranges))
        else:
            held = [ip_network(item) for item in items]
            fours = [item for item in held if isinstance(item, IPv4Network)]
            sixes = [item for item in held if isinstance(item, IPv6Network)]
            merged = len([*collapse_addresses(fours), *collapse_addresses(sixes)])
            assert not (fours and sixes)
            assert merged == len(held)


@given(EGRESS, AROUND, st.data())
def test_a_packet_goes_where_the_settings_say(
    wanted: Egress, around: dict[str, Any], data: st.DataObject
) -> None:
    known = surroundings(found(**around), wanted)
    packet = data.draw(_packets(wanted, known))

    went = Table(rules_text(wanted, known)).send(packet)

    expected = _expected(packet, wanted, known)
    assert went.counters == [expected]
    assert went.verdict == _verdict(expected)


@st.composite
def _packets(draw: st.DrawFn, wanted: Egress, known: Surroundings) -> Packet:
    """A packet for somewhere that the settings are about, or just beside."""
    named = [*wanted.deny, *(item.to for item in wanted.allow), *known.resolvers]
    base = ip_network(draw(st.sampled_from([*NEAR, *named])))
    at = draw(st.sampled_from([base.network_address, base.broadcast_address]))
    to = type(at)((int(at) + draw(st.integers(-1, 1))) % (1 << at.max_prefixlen))
    ends = {end for item in wanted.allow for text in item.ports for end in port_range(text)[:2]}
    port = draw(st.sampled_from(sorted({25, 53, 443, *ends, *wanted.smtp_ports})))
    return Packet(str(to), port, draw(st.sampled_from(PROTOCOLS)), flood=draw(st.booleans()))


def _expected(packet: Packet, wanted: Egress, known: Surroundings) -> str:
    """The counter that the packet has to come to, by the words of the settings."""
    if packet.port == 53 and packet.protocol != "icmp" and packet.to in known.resolvers:
        return "accept_dns"
    for number, item in enumerate(wanted.allow, 1):
        ports = [port_range(text) for text in item.ports]
        if _is_in(packet.to, [item.to]) and (
            not ports
            or any(low <= packet.port <= high and it == packet.protocol for low, high, it in ports)
        ):
            return f"accept_allow_{number}"
    if "metadata" in wanted.block and _is_in(packet.to, METADATA):
        return "drop_metadata"
    if _is_in(packet.to, [*wanted.deny, *translated(wanted.deny)]):
        return "drop_deny"
    if "private" in wanted.block and _is_in(packet.to, PRIVATE):
        return "drop_private"
    mail = "smtp" in wanted.block and packet.port in wanted.smtp_ports
    if mail and packet.protocol == "tcp":
        return "drop_smtp"
    if packet.flood and wanted.new_connections_per_s:
        return "drop_rate"
    return "accept_internet"


def _verdict(counter: str) -> str:
    if counter.startswith("accept"):
        return "accept"
    return "drop" if counter == "drop_rate" else "reject"


def _is_in(address: str, networks: Any) -> bool:
    return any(ip_address(address) in ip_network(text) for text in networks)


def _ends(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    return int(first), int(last or first)
