"""The rules' text for any settings: well-formed, and where packets go by it, in which order."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address, ip_network
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyinfra_gvisor.parts.egress.host_network import Surroundings, surroundings
from pyinfra_gvisor.parts.egress.rules import TABLE, counters, rules_text
from pyinfra_gvisor.parts.egress.settings import (
    MAPPED,
    METADATA,
    PRIVATE,
    Egress,
    Network,
    port_range,
    translated,
)
from tests.table import table
from tests.unit.egress.egress_packets import Packet, Table, Went, members, rules_of, to_node, went
from tests.unit.egress.egress_states import egress, found, text_of

REASON = "asked for by the test"
APPS = "br-0123456789ab"


@table(
    "to, reason",
    {
        "metadata": ("169.254.169.254", "metadata"),
        "metadata-of-tasks": ("169.254.170.2", "metadata"),
        "azure": ("168.63.129.16", "metadata"),
        "alibaba-in-a-private-network": ("100.100.100.200", "metadata"),
        "aws-v6-in-a-private-network": ("fd00:ec2::254", "metadata"),
        "metadata-through-nat64": ("64:ff9b::a9fe:a9fe", "metadata"),
        "azure-through-nat64": ("64:ff9b::a83f:8110", "metadata"),
        "private-10": ("10.0.0.5", "private"),
        "private-172": ("172.31.255.255", "private"),
        "private-192": ("192.168.1.1", "private"),
        "carrier": ("100.64.0.1", "private"),
        "private-v6": ("fd12::1", "private"),
        "private-through-nat64": ("64:ff9b::a00:5", "private"),
        "private-172-through-nat64": ("64:ff9b::ac1f:ffff", "private"),
        "translator-of-ones-own": ("64:ff9b:1::5db8:d822", "private"),
    },
)
def test_what_is_blocked_is_rejected_counted_and_remembered(to: str, reason: str) -> None:
    found = went(Packet(to))

    version = 6 if ":" in to else 4
    assert found == Went("reject", [f"drop_{reason}"], [f"stopped{version}"])


@table(
    "to",
    {
        "v4": "93.184.215.14",
        "behind-a-private-network": "172.32.0.1",
        "v6": "2001:db8::1",
        "internet-through-nat64": "64:ff9b::5db8:d70e",
    },
)
def test_the_open_internet_is_let_through_and_counted(to: str) -> None:
    assert went(Packet(to)) == Went("accept", ["accept_internet"])


@pytest.mark.parametrize(
    "block", [pytest.param(name, id=name) for name in ("metadata", "private", "smtp", "node")]
)
def test_a_block_that_is_left_out_leaves_nothing_of_it_behind(block: str) -> None:
    others = [name for name in ("metadata", "private", "smtp", "node") if name != block]
    samples = {
        "metadata": Packet("169.254.169.254"),
        "private": Packet("10.0.0.5"),
        "smtp": Packet("93.184.215.14", 25),
        "node": to_node(),
    }

    without = text_of(block=others)

    assert f"stop_{block}" not in without
    assert f"drop_{block}" not in without
    assert {name: Table(without).send(packet).verdict for name, packet in samples.items()} == {
        name: "accept" if name == block else "reject" for name in samples
    }


@table(
    "packet, expected",
    {
        "dns-udp": (Packet("169.254.169.254", 53, "udp"), "accept_dns"),
        "dns-tcp": (Packet("169.254.169.254", 53), "accept_dns"),
        "metadata-of-a-resolver": (Packet("169.254.169.254", 80), "drop_metadata"),
        "no-port": (Packet("169.254.169.254", 53, "icmp"), "drop_metadata"),
        "no-resolver": (Packet("10.0.0.2", 53), "drop_private"),
        "v6": (Packet("fd00::53", 53, "udp"), "accept_dns"),
        "v6-another-port": (Packet("fd00::53", 853), "drop_private"),
    },
)
def test_a_resolver_is_asked_wherever_it_is_and_on_its_port_alone(
    packet: Packet, expected: str
) -> None:
    around = Surroundings(resolvers=("169.254.169.254", "fd00::53"))

    assert went(packet, around).counters == [expected]


@table(
    "packet, expected",
    {
        "port": (Packet("10.0.0.5", 5432), "accept_allow_1"),
        "another-port": (Packet("10.0.0.5", 5433), "drop_private"),
        "another-protocol": (Packet("10.0.0.5", 5432, "udp"), "drop_private"),
        "another-address": (Packet("10.0.0.6", 5432), "drop_private"),
        "in-a-range": (Packet("10.0.0.5", 8005), "accept_allow_1"),
        "behind-a-range": (Packet("10.0.0.5", 8011), "drop_private"),
        "udp": (Packet("10.0.0.5", 53, "udp"), "accept_allow_1"),
        "over-deny-and-smtp": (Packet("203.0.113.9", 25), "accept_allow_2"),
        "denied": (Packet("203.0.113.10"), "drop_deny"),
        "denied-through-nat64": (Packet("64:ff9b::cb00:710a"), "drop_deny"),
        "everything": (Packet("fd00:1::5", 1, "icmp"), "accept_allow_3"),
        "metadata-with-a-reason": (Packet("169.254.169.254", 80), "accept_allow_4"),
    },
)
def test_what_is_allowed_comes_before_everything_that_is_stopped(
    packet: Packet, expected: str
) -> None:
    allow = [
        {"to": "10.0.0.5", "ports": ["8000-8010", "5432", "53/udp"]},
        {"to": "203.0.113.9"},
        {"to": "fd00:1::/64", "ports": []},
        {"to": "169.254.169.254", "ports": ["80"], "reason": REASON},
    ]

    assert went(packet, allow=allow, deny=["203.0.113.0/24"]).counters == [expected]


def test_containers_reach_each_other_whatever_their_addresses_are() -> None:
    blocked = rules_of(block=["private"], deny=["0.0.0.0/0", "::/0"])

    for oif in ("docker0", APPS, "docker_gwbridge", "evil0", 'q"q'):
        assert blocked.send(Packet("172.18.0.2", iif=APPS, oif=oif)) == Went()


@table(
    "packet",
    {
        "published-port": Packet("10.0.0.5", iif="eth0", oif="docker0"),
        "routed-for-others": Packet("10.0.0.5", iif="wg0", oif="eth0"),
        "ssh-to-the-node": to_node(iif="eth0"),
        "loopback": to_node(iif="lo"),
        "answer": Packet("10.0.0.5", known=True),
        "answer-to-the-node": to_node(known=True),
    },
)
def test_what_is_not_of_a_container_or_was_let_through_before_is_left_alone(packet: Packet) -> None:
    assert went(packet) == Went()


@pytest.mark.parametrize("iif", ["docker0", "br-lan", "evil0", "e*", 'q"q', "a\\b", "caf\u00e9"])
def test_what_comes_by_any_bridge_is_filtered_whatever_its_name(iif: str) -> None:
    assert went(Packet("169.254.169.254", iif=iif)).counters == ["drop_metadata"]
    assert went(to_node(iif=iif)).counters == ["drop_node"]
    assert went(Packet("203.0.113.9", iif=iif)).counters == ["accept_internet"]


def test_a_bridge_that_is_excluded_is_on_neither_side_of_the_rules() -> None:
    around = Surroundings(excluded=("br0",))

    assert went(Packet("10.0.0.5", iif="br0"), around) == Went()
    assert went(Packet("10.0.0.5", iif="br0", oif="docker0"), around) == Went()
    assert went(to_node(iif="br0"), around) == Went()
    assert went(Packet("10.0.0.5", oif="br0"), around).counters == ["drop_private"]
    assert went(Packet("203.0.113.9", oif="br0"), around).counters == ["accept_internet"]
    assert went(to_node(iif="br02"), around).counters == ["drop_node"]


def test_a_name_with_a_star_excludes_that_bridge_alone() -> None:
    around = Surroundings(excluded=("e\\*",))

    assert went(to_node(iif="e*"), around) == Went()
    assert went(to_node(iif="evil0"), around).counters == ["drop_node"]


def test_behind_a_bridge_of_others_is_no_network_of_containers() -> None:
    around = Surroundings(foreign=("virbr0",))

    assert went(Packet("192.168.122.5", oif="virbr0"), around).counters == ["drop_private"]
    assert went(Packet("192.168.122.5", iif="virbr0", oif="virbr0"), around) == Went()
    assert went(Packet("10.0.0.5", iif="virbr0"), around).counters == ["drop_private"]
    assert went(to_node(iif="virbr0"), around).counters == ["drop_node"]


def test_interfaces_that_are_no_bridges_connect_containers_if_they_are_named() -> None:
    around = Surroundings(interfaces=("cali*", "docker0"))

    assert went(Packet("10.0.0.5", iif="cali1"), around).counters == ["drop_private"]
    assert went(Packet("10.0.0.5", oif="cali1"), around) == Went()
    assert went(Packet("203.0.113.9", iif="docker0"), around).counters == ["accept_internet"]
    assert went(Packet("10.0.0.5", iif="cali1")) == Went()


STOPPED = Went("reject", ["drop_node"], ["stopped4"])


@table(
    "packet, expected",
    {
        "ssh": (to_node(), STOPPED),
        "its-port": (to_node(port=9100), Went("accept", ["accept_node"])),
        "its-port-over-udp": (to_node(port=9100, protocol="udp"), STOPPED),
        "udp": (to_node(port=8125, protocol="udp"), Went("accept", ["accept_node"])),
        "dns": (to_node("172.17.0.1", 53), Went("accept", ["accept_node_dns"])),
        "neighbours": (to_node("fe80::1", 0, protocol="ipv6-icmp"), Went()),
        "ping": (to_node(port=0, protocol="icmp"), Went()),
        "metadata-served-by-the-node": (
            to_node("169.254.169.254", 80),
            Went("reject", ["drop_metadata"], ["stopped4"]),
        ),
        "broadcast": (
            to_node("255.255.255.255", 68, protocol="udp", kind="broadcast"),
            Went("drop", ["drop_node"]),
        ),
    },
)
def test_of_the_node_itself_dns_icmp_and_its_ports_are_let_in(
    packet: Packet, expected: Went
) -> None:
    assert went(packet, node_ports=["8125/udp", "9100"]) == expected


def test_an_allowed_destination_is_not_the_nodes_own() -> None:
    assert went(to_node("10.0.0.5"), allow=[{"to": "10.0.0.5"}]).counters == ["drop_node"]


@table("packet", {"beyond": Packet("10.0.0.5"), "to-the-node": to_node()})
def test_the_proofs_control_is_let_through_and_remembered(packet: Packet) -> None:
    control = Packet(**{**vars(packet), "control": True})

    assert went(control) == Went("accept", [], ["passed4"])


def test_a_flow_that_nobody_answers_is_one_connection_however_many_packets_it_has() -> None:
    later = went(Packet("93.184.215.14", 514, "udp", unanswered=True, flood=True))

    assert later == Went("accept", [])


def test_what_floods_is_dropped_without_an_answer_and_not_remembered() -> None:
    flood = went(Packet("93.184.215.14", flood=True))
    slow = went(Packet("93.184.215.14"))
    among = went(Packet("172.18.0.2", oif=APPS, flood=True))

    assert (flood.verdict, flood.counters, flood.sets) == ("drop", ["drop_rate"], [])
    assert (slow.counters, among) == (["accept_internet"], Went())


@pytest.mark.parametrize("oif", ["docker0", "br-later"])
@pytest.mark.parametrize("address", ["169.254.169.254", "100.100.100.200", "fd00:ec2::254"])
def test_a_metadata_service_is_not_reached_by_a_bridge_that_came_later_either(
    address: str, oif: str
) -> None:
    told = rules_of().send(Packet(address, iif=APPS, oif=oif))

    assert told == rules_of().send(Packet(address, iif=APPS, oif="eth0"))
    assert told != Went()


def test_the_limit_is_twice_as_high_in_a_burst_and_for_each_family() -> None:
    limits = [line for line in rules_of(new_connections_per_s=7).rules if "limit rate over" in line]

    assert [line.split("{")[1] for line in limits] == [
        " ip saddr limit rate over 7/second burst 14 packets } goto stop_rate",
        " ip6 saddr limit rate over 7/second burst 14 packets } goto stop_rate",
    ]
    assert "rated" not in text_of(new_connections_per_s=None)


def test_mail_is_stopped_on_the_ports_that_are_named() -> None:
    ports = [587, 25, 465, 25]

    beyond = rules_of(smtp_ports=ports).chains["beyond"]

    assert "tcp dport { 25, 465, 587 } goto stop_smtp" in beyond
    assert went(Packet("93.184.215.14", 25, "udp"), smtp_ports=ports).verdict == "accept"


@table(
    "settings, line",
    {
        "ports": (
            {"node_ports": ["80", "81", "90-95", "93-99", "443", "80/tcp"]},
            "tcp dport { 80-81, 90-99, 443 } counter name accept_node accept",
        ),
        "networks": (
            {"deny": ["198.51.100.0/25", "198.51.100.128/25", "198.51.100.7"]},
            "ip daddr { 198.51.100.0/24 } goto stop_deny",
        ),
        "one": ({"deny": ["198.51.100.7/32"]}, "ip daddr { 198.51.100.7 } goto stop_deny"),
    },
)
def test_what_overlaps_or_adjoins_is_merged_since_nft_refuses_it(
    settings: dict[str, Any], line: str
) -> None:
    assert line in rules_of(**settings).rules


def test_a_log_is_limited_for_each_kind_and_may_be_off() -> None:
    every = [line for line in rules_of(log_per_minute=3).rules if " log " in line]
    kinds = ("metadata", "private", "node", "smtp", "rate")

    assert every == [
        f'limit rate 3/minute burst 5 packets log prefix "pyinfra-gvisor {kind}: " level info'
        for kind in kinds
    ]
    assert "log prefix" not in text_of(log_per_minute=None)


def test_the_table_is_replaced_at_once_and_no_other_is_named() -> None:
    lines = text_of().splitlines()

    assert lines[1:4] == [f"table {TABLE}", f"delete table {TABLE}", f"table {TABLE} {{"]
    assert [line for line in lines if "table" in line] == lines[1:4]
    assert "flush" not in text_of()


def test_the_hooks_come_before_dockers_and_accept_what_no_rule_is_about() -> None:
    for name in ("forward", "input"):
        head, known, *_ = rules_of().chains[name]

        assert head == f"type filter hook {name} priority filter - 5; policy accept;"
        assert known == "ct state established,related accept"


def test_counters_are_those_of_what_may_happen() -> None:
    assert counters(egress(block=["smtp"], new_connections_per_s=None)) == (
        "accept_dns",
        "accept_node_dns",
        "accept_node",
        "accept_internet",
        "drop_smtp",
    )


def test_the_text_of_the_same_settings_is_the_same_whatever_their_order() -> None:
    one = text_of(
        deny=["9.9.9.9", "8.8.8.8"], node_ports=["80", "443"], dns=["10.0.0.2", "10.0.0.1"]
    )

    other = text_of(
        deny=["8.8.8.8", "9.9.9.9", "9.9.9.9"],
        node_ports=["443", "80"],
        dns=["10.0.0.1", "10.0.0.2", "10.0.0.1"],
    )

    assert one == other


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
