"""Addresses in ``gvisor_egress``: what no rule can say, what opens a metadata service, NAT64."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pyinfra_gvisor.parts.egress.settings import METADATA, PRIVATE, network, overlap, translated
from tests.unit.egress_states import allowed, egress, problem

REASON = "asked for by the test"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("fe80::1%eth0", id="an-interface"),
        pytest.param("2001:db8::1%x } accept\n\t\tip daddr { 192.0.2.1", id="a-rule"),
    ],
)
@pytest.mark.parametrize("key", [pytest.param(key, id=key) for key in ("dns", "deny", "allow")])
def test_an_address_with_a_scope_is_refused_since_anything_may_stand_behind_it(
    key: str, text: str
) -> None:
    value = allowed(text, reason=REASON) if key == "allow" else {key: [text]}

    assert "the address has a scope, got " in problem(value)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("::ffff:169.254.169.254", id="address"),
        pytest.param("::ffff:a00:0/104", id="network"),
        pytest.param("::ffff:0:0/96", id="all"),
    ],
)
@pytest.mark.parametrize("key", [pytest.param(key, id=key) for key in ("deny", "allow")])
def test_an_ipv4_address_in_ipv6s_form_is_refused_since_no_packet_has_it(
    key: str, text: str
) -> None:
    value = allowed(text) if key == "allow" else {key: [text]}

    what = "no packet carries an IPv4-mapped IPv6 address"
    assert f"{what}, got {text}; write it as an IPv4 address" in problem(value)


@pytest.mark.parametrize(
    "to",
    [
        pytest.param("169.254.169.254", id="in-it"),
        pytest.param("169.254.0.0/16", id="it"),
        pytest.param("168.0.0.0/6", id="around-it"),
        pytest.param("0.0.0.0/0", id="everything"),
        pytest.param("100.100.100.0/24", id="around-one-in-a-private-network"),
        pytest.param("fd00::/8", id="around-it-in-v6"),
        pytest.param("::/0", id="everything-in-v6"),
        pytest.param("64:ff9b::/96", id="everything-through-nat64"),
        pytest.param("64:ff9b::a9fe:a9fe", id="in-it-through-nat64"),
    ],
)
def test_what_opens_a_metadata_service_needs_a_reason(to: str) -> None:
    said = problem(allowed(to, ports=["53"]))

    assert "would allow containers to reach a metadata service (" in said
    assert said.endswith("; allow a smaller network, or give a reason of at least 10 characters")
    assert "string should have at least 10" in problem(allowed(to, reason="because"))
    assert egress(**allowed(to, reason=REASON)).allow[0].reason == REASON


@pytest.mark.parametrize(
    "to",
    [
        pytest.param("10.0.0.5", id="private"),
        pytest.param("100.100.100.201", id="beside-one"),
        pytest.param("64:ff9b::a00:5", id="private-through-nat64"),
        pytest.param("64:ff9b:1::/48", id="translator-of-ones-own"),
    ],
)
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
    for table in (METADATA, PRIVATE):
        fours = [text for text in table if isinstance(network(text), IPv4Network)]

        assert fours
        assert set(translated(fours)) <= set(table)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # the examples of RFC 6052, 2.4, and what Linux' getaddrinfo makes of them
        pytest.param("192.0.2.33/32", "64:ff9b::c000:221/128", id="address"),
        pytest.param("10.0.0.0/8", "64:ff9b::a00:0/104", id="network"),
        pytest.param("0.0.0.0/0", "64:ff9b::/96", id="everything"),
    ],
)
def test_a_translated_network_is_the_well_known_prefix_and_the_address(
    text: str, expected: str
) -> None:
    assert translated([text, "2001:db8::/32"]) == {expected: text}
    assert isinstance(ip_network(expected), IPv6Network)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param("10.0.0.0/8", "10.1.0.0/16", True, id="in"),
        pytest.param("10.1.0.0/16", "10.0.0.0/8", True, id="around"),
        pytest.param("10.0.0.0/9", "10.128.0.0/9", False, id="beside"),
        pytest.param("::/0", "0.0.0.0/0", False, id="another-family"),
        pytest.param("fd00::/8", "fd00::1/128", True, id="v6"),
    ],
)
def test_networks_overlap_within_their_family(one: str, other: str, expected: bool) -> None:
    assert overlap(network(one), network(other)) is expected
