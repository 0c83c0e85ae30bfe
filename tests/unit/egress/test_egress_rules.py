"""The rules' text for any settings: well-formed, and where packets go by it, in which order."""

import re
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address, ip_network
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyinfra_gvisor.parts.egress.dockerd import Dockerd
from pyinfra_gvisor.parts.egress.host_network import Surroundings, surroundings
from pyinfra_gvisor.parts.egress.rules import TABLE, app_set, counters, name_set, rules_text
from pyinfra_gvisor.parts.egress.settings import (
    METADATA,
    PRIVATE,
    Allowed,
    App,
    Egress,
    port_range,
    translated,
)
from tests.table import table
from tests.unit.egress.egress_packets import (
    Packet,
    Table,
    Went,
    from_docker,
    members,
    rules_of,
    to_node,
    went,
)
from tests.unit.egress.egress_states import DOCKERD, egress, found, text_of

REASON = "asked for by the test"
APPS = "br-0123456789ab"


def stopped(reason: str, version: int = 4) -> Went:
    """What becomes of a packet that is blocked."""
    return Went("reject", [f"drop_{reason}"], [f"stopped{version}"])


def counted(*counters: str) -> Went:
    """What becomes of one that is let through."""
    return Went("accept", [f"accept_{counter}" for counter in counters])


STOPPED_ICMP = Went("reject", ["drop_metadata"])
AROUND_IT = Surroundings(resolvers=("169.254.169.254", "fd00::53"))
SETTINGS: dict[str, Any] = {
    "allow": [
        {"to": "10.0.0.5", "ports": ["8000-8010", "5432", "53/udp"]},
        {"to": "198.51.100.9"},
        {"to": "fd00:1::/64", "ports": []},
        {"to": "169.254.169.254", "ports": ["80"], "reason": REASON},
    ],
    "deny": ["198.51.100.0/24"],
    "node_ports": ["8125/udp", "9100"],
}


PACKETS: dict[str, tuple[Packet, Went]] = {
    "metadata": (Packet("169.254.169.254"), stopped("metadata")),
    "metadata_of_tasks": (Packet("169.254.170.2"), stopped("metadata")),
    "azure": (Packet("168.63.129.16"), stopped("metadata")),
    "alibaba_in_a_private_network": (Packet("100.100.100.200"), stopped("metadata")),
    "aws_v6_in_a_private_network": (Packet("fd00:ec2::254"), stopped("metadata", 6)),
    "metadata_through_nat64": (Packet("64:ff9b::a9fe:a9fe"), stopped("metadata", 6)),
    "metadata_by_a_later_bridge": (Packet("169.254.169.254", oif=APPS), stopped("metadata")),
    "alibaba_by_a_bridge": (Packet("100.100.100.200", oif="docker0"), stopped("metadata")),
    "aws_v6_by_a_bridge": (Packet("fd00:ec2::254", oif="br-new"), stopped("metadata", 6)),
    "from_a_bridge_of_any_name": (Packet("169.254.169.254", iif="e*"), stopped("metadata")),
    "private_10": (Packet("10.0.0.6"), stopped("private")),
    "private_172": (Packet("172.31.255.255"), stopped("private")),
    "private_192": (Packet("192.168.1.1"), stopped("private")),
    "carrier": (Packet("100.64.0.1"), stopped("private")),
    "private_v6": (Packet("fd12::1"), stopped("private", 6)),
    "private_through_nat64": (Packet("64:ff9b::a00:5"), stopped("private", 6)),
    "translator_of_ones_own": (Packet("64:ff9b:1::5db8:d822"), stopped("private", 6)),
    "internet": (Packet("93.184.215.14"), counted("internet")),
    "behind_a_private_network": (Packet("172.32.0.1"), counted("internet")),
    "internet_v6": (Packet("2001:db8::1"), counted("internet")),
    "internet_through_nat64": (Packet("64:ff9b::5db8:d70e"), counted("internet")),
    "no_mail_over_udp": (Packet("93.184.215.14", 25, "udp"), counted("internet")),
    "resolver_udp": (Packet("169.254.169.254", 53, "udp"), counted("dns")),
    "resolver_tcp": (Packet("169.254.169.254", 53), counted("dns")),
    "resolver_by_icmp": (Packet("169.254.169.254", 53, "icmp"), STOPPED_ICMP),
    "no_resolver": (Packet("10.0.0.2", 53), stopped("private")),
    "resolver_v6": (Packet("fd00::53", 53, "udp"), counted("dns")),
    "resolver_v6_on_another_port": (Packet("fd00::53", 853), stopped("private", 6)),
    "allowed_port": (Packet("10.0.0.5", 5432), counted("allow_1")),
    "another_port": (Packet("10.0.0.5", 5433), stopped("private")),
    "another_protocol": (Packet("10.0.0.5", 5432, "udp"), stopped("private")),
    "in_a_range": (Packet("10.0.0.5", 8005), counted("allow_1")),
    "behind_a_range": (Packet("10.0.0.5", 8011), stopped("private")),
    "allowed_udp": (Packet("10.0.0.5", 53, "udp"), counted("allow_1")),
    "allowed_over_deny_and_smtp": (Packet("198.51.100.9", 25), counted("allow_2")),
    "denied": (Packet("198.51.100.10"), stopped("deny")),
    "denied_through_nat64": (Packet("64:ff9b::c633:640a"), stopped("deny", 6)),
    "allowed_whatever_it_is": (Packet("fd00:1::5", 1, "icmp"), counted("allow_3")),
    "metadata_with_a_reason": (Packet("169.254.169.254", 80), counted("allow_4")),
    "published_port": (Packet("10.0.0.6", iif="eth0", oif="docker0"), counted()),
    "routed_for_others": (Packet("10.0.0.6", iif="wg0"), counted()),
    "ssh_to_the_node": (to_node(iif="eth0"), counted()),
    "loopback": (to_node(iif="lo"), counted()),
    "answer": (Packet("10.0.0.6", known=True), counted()),
    "answer_to_the_node": (to_node(known=True), counted()),
    "unanswered": (Packet("1.1.1.1", 514, "udp", unanswered=True, flood=True), counted()),
    "flood": (Packet("1.1.1.1", flood=True), Went("drop", ["drop_rate"])),
    "flood_among_containers": (Packet("172.18.0.2", oif=APPS, flood=True), counted()),
    "control": (Packet("10.0.0.6", control=True), Went("accept", [], ["passed4"])),
    "control_to_the_node": (to_node(control=True), Went("accept", [], ["passed4"])),
    "ssh": (to_node(), stopped("node")),
    "ssh_from_a_bridge_of_any_name": (to_node(iif="evil0"), stopped("node")),
    "allowed_and_the_nodes_own": (to_node("10.0.0.5"), stopped("node")),
    "node_port": (to_node(port=9100), counted("node")),
    "node_port_over_udp": (to_node(port=9100, protocol="udp"), stopped("node")),
    "node_port_udp": (to_node(port=8125, protocol="udp"), counted("node")),
    "node_dns": (to_node("172.17.0.1", 53), counted("node_dns")),
    "neighbours": (to_node("fe80::1", 0, protocol="ipv6-icmp"), counted()),
    "ping": (to_node(port=0, protocol="icmp"), counted()),
    "metadata_served_by_the_node": (to_node("169.254.169.254", 80), stopped("metadata")),
    "broadcast": (to_node("255.255.255.255", kind="broadcast"), Went("drop", ["drop_node"])),
}


@table("packet, expected", PACKETS)
def test_a_packet_goes_as_it_must_and_is_counted(packet: Packet, expected: Went) -> None:
    assert went(packet, AROUND_IT, **SETTINGS) == expected


@table("packet, enforced", PACKETS)
def test_rules_that_only_report_let_everything_through_and_count_what_others_would_not(
    packet: Packet, enforced: Went
) -> None:
    would = [name.replace("drop_", "would_drop_") for name in enforced.counters]
    first = [name.replace("stopped", "first") for name in enforced.sets if "stopped" in name]

    found = went(packet, AROUND_IT, **SETTINGS, mode="report")

    assert found == Went("accept", would, [*first, *enforced.sets])


MIRROR = Allowed(to="10.0.0.7", ports=("5000",))
PROXY = Allowed(to="proxy.test", ports=("3128",))
DOCKERS = Surroundings(
    excluded=("br0", "own0"),
    dockers=("own0",),
    resolvers=("169.254.169.254",),
    own_resolvers=("169.254.169.254", "10.0.0.53"),
    dockerd=Dockerd(is_told_apart=True, peers=(MIRROR, PROXY)),
)
DOCKER_ALLOWS = {
    **SETTINGS,
    "allow": [*SETTINGS["allow"], {"to": "db.test", "ports": ["5432"]}],
    "docker_allow": [{"to": "10.0.0.8"}, {"to": "127.0.0.1", "ports": ["24224"]}],
}
NO_PROXY: dict[str, Any] = {"groups": ("docker",)}
PUBLISHED: dict[str, Any] = {**NO_PROXY, "oif": APPS}


@table(
    "packet, expected",
    metadata_for_a_build=(from_docker("169.254.169.254", 80), counted("allow_4")),
    metadata_elsewhere=(from_docker("169.254.170.2", 80), stopped("metadata")),
    metadata_on_a_bridge=(from_docker("100.100.100.200", oif="docker0"), stopped("metadata")),
    private=(from_docker("10.0.0.6"), stopped("private")),
    denied=(from_docker("198.51.100.10"), stopped("deny")),
    mail=(from_docker("93.184.215.14", 25), stopped("smtp")),
    internet=(from_docker("93.184.215.14"), counted()),
    own_resolver=(from_docker("10.0.0.53", 53, protocol="udp"), counted()),
    its_other_ports=(from_docker("10.0.0.53", 80), stopped("private")),
    a_clouds_resolver=(from_docker("169.254.169.254", 53, protocol="udp"), counted()),
    stub=(from_docker("127.0.0.53", 53, protocol="udp", oif="lo", own=True), counted()),
    loopback=(from_docker("127.0.0.1", 6379, oif="lo", own=True), stopped("node")),
    own_address=(from_docker("203.0.113.7", 22, oif="lo", own=True), stopped("node")),
    node_port=(from_docker("203.0.113.7", 9100, oif="lo", own=True), counted()),
    its_log_server=(from_docker("127.0.0.1", 24224, oif="lo", own=True), counted()),
    published=(from_docker("172.18.0.2", 80, asked="203.0.113.7", **PUBLISHED), counted()),
    published_on_loopback=(
        from_docker("172.18.0.2", 80, asked="127.0.0.1", **PUBLISHED),
        stopped("node"),
    ),
    published_there_and_allowed=(
        from_docker("172.18.0.2", 80, asked="127.0.0.1", asked_port=24224, **PUBLISHED),
        counted(),
    ),
    broadcast=(from_docker("255.255.255.255", 514, kind="broadcast"), stopped("node")),
    to_a_bridge_of_dockers_that_is_excluded=(from_docker("172.19.0.2", 80, oif="own0"), counted()),
    without_docker_proxy=(
        from_docker("172.19.0.2", 80, oif="own0", **NO_PROXY),
        stopped("private"),
    ),
    container=(from_docker("172.18.0.2", 80, oif=APPS, **NO_PROXY), stopped("private")),
    container_by_docker_proxy=(from_docker("172.18.0.2", 80, oif=APPS), counted()),
    no_container=(from_docker("10.0.0.6", 80, oif="br0"), stopped("private")),
    swarm=(from_docker("10.0.0.6", 7946, protocol="udp"), counted()),
    mirror=(from_docker("10.0.0.7", 5000), counted()),
    another_port_of_it=(from_docker("10.0.0.7", 5001), stopped("private")),
    proxy_by_name=(from_docker("10.0.0.9", 3128, named="proxy.test"), counted()),
    another_port_by_name=(from_docker("10.0.0.9", 3129, named="proxy.test"), stopped("private")),
    a_name_that_leads_to_metadata=(
        from_docker("169.254.170.2", 3128, named="proxy.test"),
        stopped("metadata"),
    ),
    what_containers_may=(from_docker("10.0.0.9", 5432, named="db.test"), counted("allow_5")),
    allowed=(from_docker("10.0.0.8", 9), counted()),
    answer=(from_docker("10.0.0.6", known=True), counted()),
    another_program_of_the_node=(from_docker("169.254.170.2", groups=()), counted()),
    a_container_by_name=(Packet("10.0.0.9", 5432, named="db.test"), counted("allow_5")),
    a_container_by_name_to_metadata=(
        Packet("169.254.170.2", 5432, named="db.test"),
        stopped("metadata"),
    ),
    a_container_as_docker=(Packet("10.0.0.8", 9), stopped("private")),
)
def test_what_docker_sends_for_others_goes_as_it_must(packet: Packet, expected: Went) -> None:
    assert went(packet, DOCKERS, **DOCKER_ALLOWS) == expected
    packets = rules_of(DOCKERS, **DOCKER_ALLOWS, docker=False)
    assert "output" not in packets.chains


APPS_ALLOW: dict[str, Any] = {
    **SETTINGS,
    "apps": [
        {"project": "shop", "allow": [{"to": "10.0.0.6", "ports": ["5432"]}]},
        {
            "network": "lan",
            "allow": [
                {"to": "db.test", "ports": ["80"]},
                {"to": "169.254.170.2", "reason": REASON},
            ],
        },
        {"label": "tier=back", "allow": [{"to": "10.0.0.7"}]},
    ],
}


SHOP, LAN, BACK = (app_set(App.model_validate(app)) for app in APPS_ALLOW["apps"])


@table(
    "packet, expected",
    its_own=(Packet("10.0.0.6", 5432, app=SHOP), counted("app_1")),
    another_port=(Packet("10.0.0.6", 5433, app=SHOP), stopped("private")),
    of_another_app=(Packet("10.0.0.6", 5432, app=LAN), stopped("private")),
    of_no_app=(Packet("10.0.0.6", 5432), stopped("private")),
    by_name=(Packet("10.0.0.8", 80, named="db.test", app=LAN), counted("app_2")),
    by_the_name_of_another=(Packet("10.0.0.8", 80, named="db.test"), stopped("private")),
    a_name_for_metadata=(
        Packet("169.254.169.253", 80, named="db.test", app=LAN),
        stopped("metadata"),
    ),
    with_a_reason=(Packet("169.254.170.2", app=LAN), counted("app_2")),
    all_ports=(Packet("10.0.0.7", 1, app=BACK), counted("app_3")),
    what_all_may=(Packet("10.0.0.5", 5432, app=BACK), counted("allow_1")),
    the_rest=(Packet("10.0.0.9", app=BACK), stopped("private")),
    not_docker=(from_docker("10.0.0.7", 1), stopped("private")),
)
def test_an_app_may_more_than_others_and_no_other_may_it(packet: Packet, expected: Went) -> None:
    assert went(packet, DOCKERS, **APPS_ALLOW) == expected


def test_the_rules_say_which_sets_the_node_fills_with_what() -> None:
    text = rules_text(egress(**DOCKER_ALLOWS), DOCKERS)

    assert [line for line in text.splitlines() if line.startswith("# ")][1:] == [
        "# groups docker.service containerd.service buildkit.service",
        "# dockerd docker.service",
        f"# name {name_set('db.test')} db.test",
        f"# name {name_set('proxy.test')} proxy.test",
    ]
    apps = rules_text(egress(**APPS_ALLOW), Surroundings())
    assert [line for line in apps.splitlines() if line.startswith("# ")][1:] == [
        "# dockerd docker.service",
        f"# app {SHOP} label=com.docker.compose.project=shop",
        f"# app {LAN} name=lan",
        f"# app {BACK} label=tier=back",
        f"# name {name_set('db.test')} db.test",
    ]
    named = [
        f"{name_set(name)}_{version}" for name in ("db.test", "proxy.test") for version in "46"
    ]
    for name in ("docker", "docker_proxy", *named):
        assert f"set {name} {{" in text


@pytest.mark.parametrize("block", ["metadata", "private", "smtp", "node"])
def test_a_block_that_is_left_out_leaves_nothing_of_it_behind(block: str) -> None:
    samples = {"metadata": Packet("169.254.169.254"), "private": Packet("10.0.0.5")}
    samples |= {"smtp": Packet("93.184.215.14", 25), "node": to_node()}

    without = text_of(block=[name for name in samples if name != block])

    assert f"stop_{block}" not in without
    assert f"drop_{block}" not in without
    assert {name: Table(without).send(packet).verdict for name, packet in samples.items()} == {
        name: "accept" if name == block else "reject" for name in samples
    }


def test_containers_reach_each_other_and_the_order_of_settings_makes_no_difference() -> None:
    blocked = rules_of(block=["private"], deny=["0.0.0.0/0", "::/0"])
    deny, ports, dns = ["9.9.9.9", "8.8.8.8"], ["80", "443"], ["10.0.0.2", "10.0.0.1"]

    one = text_of(deny=deny, node_ports=ports, dns=dns)
    other = text_of(deny=[*deny[::-1], "9.9.9.9"], node_ports=ports[::-1], dns=[*dns[::-1], dns[0]])

    assert one == other
    for oif in ("docker0", APPS, "evil0", 'q"q'):  # whatever their addresses are
        assert blocked.send(Packet("172.18.0.2", iif=APPS, oif=oif)) == counted()


EXCLUDED = Surroundings(excluded=("br0",))
WITH_A_STAR = Surroundings(excluded=("e\\*",))
FOREIGN = Surroundings(foreign=("virbr0",))
NAMED = Surroundings(interfaces=("cali*", "docker0"))


@table(
    "around, packet, expected",
    from_an_excluded_one=(EXCLUDED, Packet("10.0.0.5", iif="br0"), counted()),
    to_the_node_from_it=(EXCLUDED, to_node(iif="br0"), counted()),
    to_it=(EXCLUDED, Packet("10.0.0.5", oif="br0"), stopped("private")),
    through_it=(EXCLUDED, Packet("203.0.113.9", oif="br0"), counted("internet")),
    a_longer_name=(EXCLUDED, to_node(iif="br02"), stopped("node")),
    an_excluded_star=(WITH_A_STAR, to_node(iif="e*"), counted()),
    no_wildcard=(WITH_A_STAR, to_node(iif="evil0"), stopped("node")),
    to_one_of_others=(FOREIGN, Packet("192.168.122.5", oif="virbr0"), stopped("private")),
    within_it=(FOREIGN, Packet("192.168.122.5", iif="virbr0", oif="virbr0"), counted()),
    from_it=(FOREIGN, Packet("10.0.0.5", iif="virbr0"), stopped("private")),
    from_it_to_the_node=(FOREIGN, to_node(iif="virbr0"), stopped("node")),
    from_a_named_one=(NAMED, Packet("10.0.0.5", iif="cali1"), stopped("private")),
    to_a_named_one=(NAMED, Packet("10.0.0.5", oif="cali1"), counted()),
    a_named_bridge=(NAMED, Packet("203.0.113.9"), counted("internet")),
    not_named=(Surroundings(), Packet("10.0.0.5", iif="cali1"), counted()),
)
def test_an_interface_counts_as_what_it_is(around: Any, packet: Packet, expected: Went) -> None:
    assert went(packet, around) == expected


def test_limits_are_twice_as_high_in_a_burst_logs_are_limited_and_both_may_be_off() -> None:
    rules = rules_of(new_connections_per_s=7, log_per_minute=3).rules
    kinds = ("metadata", "private", "node", "smtp", "rate")

    assert [line.split("{")[1] for line in rules if "limit rate over" in line] == [
        f" {family} saddr limit rate over 7/second burst 14 packets }} goto stop_rate"
        for family in ("ip", "ip6")
    ]
    assert [line for line in rules if " log " in line] == [
        f'limit rate 3/minute burst 5 packets log prefix "pyinfra-gvisor {kind}: " level info'
        for kind in kinds
    ]
    assert "rated" not in text_of(new_connections_per_s=None)
    assert "log prefix" not in text_of(log_per_minute=None)


@table(
    "settings, line",
    ports=(
        {"node_ports": ["80", "81", "90-95", "93-99", "443", "80/tcp"]},
        "tcp dport { 80-81, 90-99, 443 } counter name accept_node accept",
    ),
    mail=({"smtp_ports": [587, 25, 465, 25]}, "tcp dport { 25, 465, 587 } goto stop_smtp"),
    networks=(
        {"deny": ["198.51.100.0/25", "198.51.100.128/25", "198.51.100.7"]},
        "ip daddr { 198.51.100.0/24 } goto stop_deny",
    ),
    one=({"deny": ["198.51.100.7/32"]}, "ip daddr { 198.51.100.7 } goto stop_deny"),
)
def test_what_overlaps_or_adjoins_is_merged(settings: dict[str, Any], line: str) -> None:
    assert line in rules_of(**settings).rules


def test_the_table_is_replaced_at_once_with_hooks_before_dockers_and_no_other_is_named() -> None:
    lines = text_of().splitlines()

    assert lines[1] == f"# groups {' '.join(DOCKERD.units)}"
    assert lines[2] == "# dockerd docker.service"
    assert lines[3:6] == [f"table {TABLE}", f"delete table {TABLE}", f"table {TABLE} {{"]
    assert [line for line in lines if "table" in line] == lines[3:6]
    assert "flush" not in text_of()
    for name in ("forward", "input"):
        head, known, *_ = rules_of().chains[name]
        assert head == f"type filter hook {name} priority filter - 5; policy accept;"
        assert known == "ct state established,related accept"
    few = counters(egress(block=["smtp"], new_connections_per_s=None))
    assert " ".join(few) == "accept_dns accept_node_dns accept_node accept_internet drop_smtp"


NEAR = [*METADATA, *PRIVATE, "0.0.0.0/0", "::/0", "203.0.113.0/24", "2001:db8::/32"]
PROTOCOLS = ("tcp", "udp", "icmp")
SET = re.compile(r"(daddr|dport) \{ ([^}]+) \}")


@st.composite
def networks(draw: st.DrawFn) -> Any:
    """A network, often one in, around or beside what is known."""
    base = ip_network(draw(st.sampled_from(NEAR)))
    if draw(st.booleans()):
        return base
    offset = draw(st.integers(0, min(base.num_addresses, 1 << 20) - 1))
    prefix = draw(st.integers(0, base.max_prefixlen))
    return ip_network((base.network_address + offset, prefix), strict=False)


TEXTS = networks().map(str)
PORTS = st.builds(
    lambda first, more, protocol: f"{first}-{min(first + more, 65535)}{protocol}",
    st.integers(1, 65535) | st.sampled_from([22, 25, 53]),
    st.integers(0, 3),
    st.sampled_from(["", "/tcp", "/udp"]),
)
RATE = st.none() | st.integers(1, 1000)
PORT_LISTS, REASONS = st.lists(PORTS, max_size=3), st.just(REASON)
ALLOWED = st.fixed_dictionaries({"to": TEXTS, "ports": PORT_LISTS, "reason": REASONS})
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
def test_the_text_is_well_formed_names_what_is_there_and_no_set_overlaps(
    wanted: Egress, around: Any
) -> None:
    text = rules_text(wanted, surroundings(found(**around), wanted, DOCKERD))

    depth = 0
    for line in text.splitlines():
        depth += line.count("{") - line.count("}")
        assert depth >= 0
        assert line.count('"') % 2 == 0
        assert line.lstrip("\t").isprintable()
    assert depth == 0
    told = Table(text)
    words = " ".join(told.rules)
    assert set(re.findall(r"(?:jump|goto) (\w+)", words)) <= set(told.chains)
    assert set(re.findall(r"@(\w+)", words)) <= set(told.sets)
    assert set(re.findall(r"counter name (\w+)", words)) <= set(told.counters)
    assert len(told.counters) == len(set(told.counters))
    assert tuple(told.counters) == counters(wanted)
    for kind, listed in SET.findall("\n".join(told.rules)):
        _no_overlap(kind, members(listed))


@given(EGRESS, AROUND, st.data())
def test_a_packet_goes_where_the_settings_say(wanted: Egress, around: Any, data: Any) -> None:
    known = surroundings(found(**around), wanted, DOCKERD)
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


def _no_overlap(kind: str, items: list[str]) -> None:
    if kind == "dport":
        ranges = sorted(_ends(item) for item in items)
        assert all(one[1] < other[0] for one, other in pairwise(ranges))
        return
    held = [ip_network(item) for item in items]
    fours = [item for item in held if isinstance(item, IPv4Network)]
    sixes = [item for item in held if isinstance(item, IPv6Network)]
    assert not (fours and sixes)
    assert len([*collapse_addresses(fours), *collapse_addresses(sixes)]) == len(held)


def _verdict(counter: str) -> str:
    if counter.startswith("accept"):
        return "accept"
    return "drop" if counter == "drop_rate" else "reject"


def _is_in(address: str, networks: Any) -> bool:
    return any(ip_address(address) in ip_network(text) for text in networks)


def _ends(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    return int(first), int(last or first)
