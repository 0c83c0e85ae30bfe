"""The rules' text: what it names, what it merges, and what it leaves out."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.parts.egress.rules import TABLE, counters
from tests.unit.egress_packets import Packet, table, went
from tests.unit.egress_states import egress, text_of


def test_the_limit_is_twice_as_high_in_a_burst_and_for_each_family() -> None:
    limits = [line for line in table(new_connections_per_s=7).rules if "limit rate over" in line]

    assert [line.split("{")[1] for line in limits] == [
        " ip saddr limit rate over 7/second burst 14 packets } goto stop_rate",
        " ip6 saddr limit rate over 7/second burst 14 packets } goto stop_rate",
    ]
    assert "rated" not in text_of(new_connections_per_s=None)


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        pytest.param([25], "{ 25 }", id="one"),
        pytest.param([587, 25, 465, 25], "{ 25, 465, 587 }", id="several-and-twice"),
    ],
)
def test_mail_is_stopped_on_the_ports_that_are_named(ports: list[int], expected: str) -> None:
    beyond = table(smtp_ports=ports).chains["beyond"]

    assert f"tcp dport {expected} goto stop_smtp" in beyond
    assert went(Packet("93.184.215.14", 25, "udp"), smtp_ports=ports).verdict == "accept"


def test_without_ports_there_is_no_rule_about_mail() -> None:
    assert not [line for line in table(smtp_ports=[]).rules if "goto stop_smtp" in line]


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        pytest.param(
            {"node_ports": ["80", "81", "90-95", "93-99", "443", "80/tcp"]},
            "tcp dport { 80-81, 90-99, 443 } counter name accept_node accept",
            id="ports",
        ),
        pytest.param(
            {"node_ports": ["1-65535/udp", "53/udp"]},
            "udp dport { 1-65535 } counter name accept_node accept",
            id="all-ports",
        ),
        pytest.param(
            {"deny": ["198.51.100.0/25", "198.51.100.128/25", "198.51.100.7"]},
            "ip daddr { 198.51.100.0/24 } goto stop_deny",
            id="networks",
        ),
        pytest.param(
            {"deny": ["2001:db8::/32", "2001:db8::1"]},
            "ip6 daddr { 2001:db8::/32 } goto stop_deny",
            id="networks-v6",
        ),
        pytest.param({"deny": ["0.0.0.0/0"]}, "ip daddr { 0.0.0.0/0 } goto stop_deny", id="all"),
        pytest.param(
            {"deny": ["198.51.100.7/32"]}, "ip daddr { 198.51.100.7 } goto stop_deny", id="one"
        ),
    ],
)
def test_what_overlaps_or_adjoins_is_merged_since_nft_refuses_it(
    settings: dict[str, Any], line: str
) -> None:
    assert line in table(**settings).rules


def test_a_family_without_members_has_no_line() -> None:
    only_6 = table(block=[], deny=["2001:db8::/32"]).rules

    assert not [line for line in only_6 if line.startswith("ip daddr")]
    assert "{  }" not in text_of(block=[], deny=[])
    assert "resolvers" not in text_of(dns=[])


def test_a_log_is_limited_for_each_kind_and_may_be_off() -> None:
    every = [line for line in table(log_per_minute=3).rules if " log " in line]
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
        head, known, *_ = table().chains[name]

        assert head == f"type filter hook {name} priority filter - 5; policy accept;"
        assert known == "ct state established,related accept"


def test_every_counter_is_there_under_the_name_that_is_told() -> None:
    settings: dict[str, Any] = {
        "allow": [{"to": "10.0.0.5"}, {"to": "10.0.0.6"}],
        "deny": ["9.9.9.9"],
    }

    assert table(**settings).counters == list(counters(egress(**settings)))
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
