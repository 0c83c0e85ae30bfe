"""Where packets go by the rules' text: what is stopped, what is not, and in which order."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.parts.egress.host_network import Surroundings
from tests.unit.egress_packets import Packet, Table, Went, table, to_node, went
from tests.unit.egress_states import text_of

REASON = "asked for by the test"
APPS = "br-0123456789ab"


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        pytest.param("169.254.169.254", "metadata", id="metadata"),
        pytest.param("169.254.170.2", "metadata", id="metadata-of-tasks"),
        pytest.param("168.63.129.16", "metadata", id="azure"),
        pytest.param("100.100.100.200", "metadata", id="alibaba-in-a-private-network"),
        pytest.param("fd00:ec2::254", "metadata", id="aws-v6-in-a-private-network"),
        pytest.param("64:ff9b::a9fe:a9fe", "metadata", id="metadata-through-nat64"),
        pytest.param("64:ff9b::a83f:8110", "metadata", id="azure-through-nat64"),
        pytest.param("10.0.0.5", "private", id="private-10"),
        pytest.param("172.31.255.255", "private", id="private-172"),
        pytest.param("192.168.1.1", "private", id="private-192"),
        pytest.param("100.64.0.1", "private", id="carrier"),
        pytest.param("fd12::1", "private", id="private-v6"),
        pytest.param("64:ff9b::a00:5", "private", id="private-through-nat64"),
        pytest.param("64:ff9b::ac1f:ffff", "private", id="private-172-through-nat64"),
        pytest.param("64:ff9b:1::5db8:d822", "private", id="translator-of-ones-own"),
    ],
)
def test_what_is_blocked_is_rejected_counted_and_remembered(to: str, reason: str) -> None:
    found = went(Packet(to))

    version = 6 if ":" in to else 4
    assert found == Went("reject", [f"drop_{reason}"], [f"stopped{version}"])


@pytest.mark.parametrize(
    "to",
    [
        pytest.param("93.184.215.14", id="v4"),
        pytest.param("172.32.0.1", id="behind-a-private-network"),
        pytest.param("2001:db8::1", id="v6"),
        pytest.param("64:ff9b::5db8:d70e", id="internet-through-nat64"),
    ],
)
def test_the_open_internet_is_let_through_and_counted(to: str) -> None:
    assert went(Packet(to)) == Went("accept", ["accept_internet"])


@pytest.mark.parametrize(
    "block",
    [pytest.param(name, id=name) for name in ("metadata", "private", "smtp", "node")],
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


def test_with_nothing_blocked_and_no_limit_nothing_is_ever_stopped() -> None:
    bare = table(block=[], new_connections_per_s=None)

    assert not [line for line in bare.rules if "reject" in line or "drop" in line]
    assert bare.send(Packet("10.0.0.5", 25, flood=True)) == Went("accept", ["accept_internet"])
    assert bare.send(to_node()) == Went()


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        pytest.param(Packet("169.254.169.254", 53, "udp"), "accept_dns", id="dns-udp"),
        pytest.param(Packet("169.254.169.254", 53), "accept_dns", id="dns-tcp"),
        pytest.param(Packet("169.254.169.254", 80), "drop_metadata", id="metadata-of-a-resolver"),
        pytest.param(Packet("169.254.169.254", 53, "icmp"), "drop_metadata", id="no-port"),
        pytest.param(Packet("10.0.0.2", 53), "drop_private", id="no-resolver"),
        pytest.param(Packet("fd00::53", 53, "udp"), "accept_dns", id="v6"),
        pytest.param(Packet("fd00::53", 853), "drop_private", id="v6-another-port"),
    ],
)
def test_a_resolver_is_asked_wherever_it_is_and_on_its_port_alone(
    packet: Packet, expected: str
) -> None:
    around = Surroundings(resolvers=("169.254.169.254", "fd00::53"))

    assert went(packet, around).counters == [expected]


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        pytest.param(Packet("10.0.0.5", 5432), "accept_allow_1", id="port"),
        pytest.param(Packet("10.0.0.5", 5433), "drop_private", id="another-port"),
        pytest.param(Packet("10.0.0.5", 5432, "udp"), "drop_private", id="another-protocol"),
        pytest.param(Packet("10.0.0.6", 5432), "drop_private", id="another-address"),
        pytest.param(Packet("10.0.0.5", 8005), "accept_allow_1", id="in-a-range"),
        pytest.param(Packet("10.0.0.5", 8011), "drop_private", id="behind-a-range"),
        pytest.param(Packet("10.0.0.5", 53, "udp"), "accept_allow_1", id="udp"),
        pytest.param(Packet("203.0.113.9", 25), "accept_allow_2", id="over-deny-and-smtp"),
        pytest.param(Packet("203.0.113.10"), "drop_deny", id="denied"),
        pytest.param(Packet("64:ff9b::cb00:710a"), "drop_deny", id="denied-through-nat64"),
        pytest.param(Packet("fd00:1::5", 1, "icmp"), "accept_allow_3", id="everything"),
        pytest.param(Packet("169.254.169.254", 80), "accept_allow_4", id="metadata-with-a-reason"),
    ],
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


def test_the_way_out_is_judged_in_this_order() -> None:
    around = Surroundings(resolvers=("10.0.0.2",))
    beyond = table(around, allow=[{"to": "10.0.0.5"}], deny=["203.0.113.9"]).chains["beyond"]

    order = [
        "@controls4",
        "accept_dns",
        "accept_allow_1",
        "stop_metadata",
        "stop_deny",
        "stop_private",
        "stop_smtp",
        "stop_rate",
        "accept_internet",
    ]
    first = [next(n for n, line in enumerate(beyond) if word in line) for word in order]
    assert first == sorted(first)


def test_containers_reach_each_other_whatever_their_addresses_are() -> None:
    blocked = table(block=["private"], deny=["0.0.0.0/0", "::/0"])

    for oif in ("docker0", APPS, "docker_gwbridge", "evil0", 'q"q'):
        assert blocked.send(Packet("172.18.0.2", iif=APPS, oif=oif)) == Went()


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(Packet("10.0.0.5", iif="eth0", oif="docker0"), id="published-port"),
        pytest.param(Packet("10.0.0.5", iif="wg0", oif="eth0"), id="routed-for-others"),
        pytest.param(to_node(iif="eth0"), id="ssh-to-the-node"),
        pytest.param(to_node(iif="lo"), id="loopback"),
        pytest.param(Packet("10.0.0.5", known=True), id="answer"),
        pytest.param(to_node(known=True), id="answer-to-the-node"),
    ],
)
def test_what_is_not_of_a_container_or_was_let_through_before_is_left_alone(
    packet: Packet,
) -> None:
    assert went(packet) == Went()


@pytest.mark.parametrize(
    "iif",
    [
        pytest.param(name, id=name)
        for name in ("docker0", "br-lan", "evil0", "e*", 'q"q', "a\\b", "caf\u00e9")
    ],
)
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


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        pytest.param(to_node(), Went("reject", ["drop_node"], ["stopped4"]), id="ssh"),
        pytest.param(to_node(port=9100), Went("accept", ["accept_node"]), id="its-port"),
        pytest.param(
            to_node(port=9100, protocol="udp"),
            Went("reject", ["drop_node"], ["stopped4"]),
            id="its-port-by-another-protocol",
        ),
        pytest.param(to_node(port=8125, protocol="udp"), Went("accept", ["accept_node"]), id="udp"),
        pytest.param(to_node("172.17.0.1", 53), Went("accept", ["accept_node_dns"]), id="dns"),
        pytest.param(to_node("fe80::1", 0, protocol="ipv6-icmp"), Went(), id="neighbours"),
        pytest.param(to_node(port=0, protocol="icmp"), Went(), id="ping"),
        pytest.param(
            to_node("169.254.169.254", 80),
            Went("reject", ["drop_metadata"], ["stopped4"]),
            id="metadata-served-by-the-node",
        ),
        pytest.param(
            to_node("255.255.255.255", 68, protocol="udp", kind="broadcast"),
            Went("drop", ["drop_node"]),
            id="broadcast",
        ),
    ],
)
def test_of_the_node_itself_dns_icmp_and_its_ports_are_let_in(
    packet: Packet, expected: Went
) -> None:
    assert went(packet, node_ports=["8125/udp", "9100"]) == expected


def test_an_allowed_destination_is_not_the_nodes_own() -> None:
    assert went(to_node("10.0.0.5"), allow=[{"to": "10.0.0.5"}]).counters == ["drop_node"]


@pytest.mark.parametrize(
    "packet",
    [pytest.param(Packet("10.0.0.5"), id="beyond"), pytest.param(to_node(), id="to-the-node")],
)
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
    told = table().send(Packet(address, iif=APPS, oif=oif))

    assert told == table().send(Packet(address, iif=APPS, oif="eth0"))
    assert told != Went()
