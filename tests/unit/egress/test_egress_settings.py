"""``gvisor_egress``: what it takes, what is said about the rest, and what its addresses open."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.parts.egress.settings import METADATA, PRIVATE, Egress, network, translated
from tests.table import table
from tests.unit.egress.egress_states import allowed, egress, problem
from tests.unit.settings.loaded_settings import good

REASON = "asked for by the test"


def test_no_key_is_no_firewall_an_empty_one_the_default_and_that_allow_wins_is_said() -> None:
    assert (good().egress, good(gvisor_egress=None).egress) == (None, None)
    assert good(gvisor_egress={}).egress == Egress()
    assert Egress().block == ("metadata", "private", "node", "smtp")
    said = Egress.model_fields["allow"].description or ""
    assert "`allow` wins over `block` and `deny`" in said


NO_ADDRESS = "not an address or a network ("
NO_PORT = "not a port or a range of ports, got 0; write 443, 53/udp or 8000-8010/tcp"


@table(
    "value, message",
    true=(True, "input should be a valid dictionary"),
    mistyped_key=({"blok": []}, "['blok'] unknown key, got []"),
    a_number_as_a_key=({1: 2}, "['1'] keys should be strings, got 1"),
    text=({"block": "metadata"}, "['block'] input should be a valid tuple"),
    block=({"block": ["lan"]}, "['block']['0'] input should be 'metadata'"),
    to_a_name=(allowed("db.internal"), f"['allow']['0']['to'] {NO_ADDRESS}"),
    host_bits=(allowed("10.0.0.5/24"), f"['allow']['0']['to'] {NO_ADDRESS}"),
    number=({"allow": [{"to": 1}]}, "['allow']['0']['to'] input should be"),
    to_missing=({"allow": [{}]}, "['allow']['0']['to'] field required"),
    allow_text=({"allow": ["10.0.0.5"]}, "['allow']['0'] input should be"),
    allow_key=(allowed("::1", port=["1"]), "['allow']['0']['port'] unknown"),
    port_0=(allowed("::1", ports=["0"]), f"['allow']['0']['ports'] {NO_PORT}"),
    ports_text=(allowed("::1", ports="5"), "['allow']['0']['ports'] input"),
    deny_mask=({"deny": ["10.0.0.0/33"]}, f"['deny'] {NO_ADDRESS}"),
    deny=({"deny": "10.0.0.5"}, "['deny'] input should be a valid tuple"),
    dns_network=({"dns": ["10.0.0.0/8"]}, "['dns'] a network instead of"),
    dns_name=({"dns": ["one.one"]}, f"['dns'] {NO_ADDRESS}"),
    dns_text=({"dns": "10.0.0.2"}, "['dns'] input should be a valid tuple"),
    smtp_0=({"smtp_ports": [0]}, "['smtp_ports']['0'] input should be"),
    smtp_true=({"smtp_ports": [True]}, "['smtp_ports']['0'] input"),
    smtp_65536=({"smtp_ports": [65536]}, "['smtp_ports']['0'] input"),
    rate_0=({"new_connections_per_s": 0}, "['new_connections_per_s'] input"),
    rate_true=({"new_connections_per_s": True}, "['new_connections_per_s']"),
    log_half=({"log_per_minute": 1.5}, "['log_per_minute'] input should"),
    confirm_4=({"confirm_s": 4}, "['confirm_s'] input should be greater"),
    confirm_none=({"confirm_s": None}, "['confirm_s'] input should be"),
    force_short=({"force": "x"}, "['force'] string should have at least 10"),
)
def test_a_bad_value_is_told_by_its_key(value: Any, message: str) -> None:
    assert problem(value).startswith(message)


@pytest.mark.parametrize(
    "ports",
    [
        *("", "0", "0-1", "65536", "8010-8000", "000080", "-1", "80-", "80/sctp", "53/UDP"),
        *(" 80", "80\n", "80,443", "\u0668\u0660", "80 } accept"),
    ],
)
def test_what_is_no_port_is_refused_wherever_ports_are_named(ports: str) -> None:
    assert problem({"node_ports": [ports]}).startswith("['node_ports'] not a port or ")
    assert "not a port or a range of ports" in problem(allowed("10.0.0.5", ports=[ports]))


NO_NAMES = ("", "*", "br*0", "br**", "a" * 16, "a b", 'a"b', "a{", "a\n", "a*\n", "-a", "br\u00fc")


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_is_no_interface_is_refused(name: str) -> None:
    for key in ("interfaces", "exclude"):
        said = problem({key: [name]})
        assert said.startswith(f"['{key}'] not the name of an interface, got ")


def test_an_interface_is_filtered_or_left_alone_and_not_both() -> None:
    both = {"interfaces": ["cni0", "virbr*"], "exclude": ["virbr*"]}

    assert problem(both) == (
        "the interface is in interfaces and in exclude, got virbr*; remove it from one of the two"
    )


@pytest.mark.parametrize("name", ["lo", "lo*", "l*"])
def test_the_nodes_loopback_is_no_interface_of_containers(name: str) -> None:
    assert problem({"interfaces": [name]}) == (
        f"['interfaces'] includes the loopback interface, got {name}; "
        "remove it: only the node's own programs use the loopback interface"
    )


@table(
    "settings, attribute, value",
    twice=({"block": ["smtp", "smtp"]}, "block", ("smtp",)),
    nothing_blocked=({"block": []}, "block", ()),
    netmask=({"deny": ["10.0.0.0/255.0.0.0"]}, "deny", ("10.0.0.0/8",)),
    address=({"deny": ["9.9.9.9"]}, "deny", ("9.9.9.9/32",)),
    dns_as_packets_have_it=({"dns": ["FD00:0::53"]}, "dns", ("fd00::53",)),
    no_dns=({"dns": []}, "dns", ()),
    dns_of_the_node=({}, "dns", None),
    interfaces=({"interfaces": ["virbr*", "a" * 15]}, "interfaces", ("virbr*", "a" * 15)),
    no_mail_ports=({"smtp_ports": []}, "smtp_ports", ()),
    no_rate=({"new_connections_per_s": None}, "new_connections_per_s", None),
    no_log=({"log_per_minute": None}, "log_per_minute", None),
    force=({"force": f" {REASON} "}, "force", REASON),
)
def test_a_good_value_is_taken(settings: dict[str, Any], attribute: str, value: object) -> None:
    assert getattr(egress(**settings), attribute) == value


@table(
    "text, what",
    scope=("fe80::1%eth0", "the address has a scope, got fe80::1%eth0; remove %"),
    rules_behind_it=("2001:db8::1%x } accept\n\t\tip daddr { 192.0.2.1", "has a scope"),
    in_ipv6s_form=("::ffff:169.254.169.254", "IPv4-mapped IPv6 address, got ::ffff:169."),
    a_network_in_it=("::ffff:a00:0/104", "no packet carries an IPv4-mapped IPv6 address"),
    all_of_it=("::ffff:0:0/96", "; write it as an IPv4 address"),
)
def test_an_address_that_no_packet_has_is_refused(text: str, what: str) -> None:
    with pytest.raises(Problem, match=re.escape(what)):
        network(text)


@pytest.mark.parametrize(
    "to",
    [
        *("169.254.169.254", "169.254.0.0/16", "168.0.0.0/6", "0.0.0.0/0", "100.100.100.0/24"),
        *("fd00::/8", "::/0", "64:ff9b::/96", "64:ff9b::a9fe:a9fe"),
    ],
)
def test_what_opens_a_metadata_service_needs_a_reason(to: str) -> None:
    said = problem(allowed(to, ports=["53"]))

    assert "would allow containers to reach a metadata service (" in said
    assert said.endswith("; allow a smaller network, or give a reason of at least 10 characters")
    assert "string should have at least 10" in problem(allowed(to, reason="because"))
    assert egress(**allowed(to, reason=REASON)).allow[0].reason == REASON


@pytest.mark.parametrize("to", ["10.0.0.5", "100.100.100.201", "64:ff9b::a00:5", "64:ff9b:1::/48"])
def test_what_opens_no_metadata_service_needs_none(to: str) -> None:
    assert egress(**allowed(to)).allow[0].reason is None


TRICKS = st.text(st.sampled_from('0123456789abcdef:./-%*_ "\\{};#\n\t$@\u00fc'), max_size=12)
BEGINNINGS = st.sampled_from(["", "10.0.0.1", "10.0.0.0/8", "fe80::1", "::1%", "80", "br-", "1-2"])
HARMLESS = re.compile(r"[A-Za-z0-9_.@:/*-]+")  # what may stand in a rule, in quotes or not


@given(st.builds(str.__add__, BEGINNINGS, TRICKS))
def test_nothing_that_means_something_to_nft_gets_into_the_rules(text: str) -> None:
    values: list[dict[str, Any]] = [
        *({key: [text]} for key in ("deny", "dns", "node_ports", "interfaces")),
        allowed(text, reason=REASON),
        allowed("10.0.0.5", ports=[text]),
    ]

    for value in values:
        try:
            wanted = egress(**value)
        except ValidationError:
            continue
        (allow,) = wanted.allow or (None,)
        more = (allow.to, *allow.ports) if allow else ()
        lists = (wanted.deny, wanted.dns or (), wanted.node_ports, wanted.interfaces, more)
        assert all(HARMLESS.fullmatch(item) for items in lists for item in items)


def test_every_ipv4_network_that_is_blocked_is_so_through_a_translator_too() -> None:
    for block in (METADATA, PRIVATE):
        fours = [text for text in block if isinstance(network(text), IPv4Network)]

        assert fours
        assert set(translated(fours)) <= set(block)


# the examples of RFC 6052, 2.4, and what Linux' getaddrinfo makes of them
@table(
    "text, expected",
    address=("192.0.2.33/32", "64:ff9b::c000:221/128"),
    everything=("0.0.0.0/0", "64:ff9b::/96"),
)
def test_a_network_is_translated_by_the_well_known_prefix(text: str, expected: str) -> None:
    assert translated([text, "2001:db8::/32"]) == {expected: text}
    assert isinstance(ip_network(expected), IPv6Network)
