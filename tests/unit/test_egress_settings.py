"""``gvisor_egress``: what it takes, and what is said about what it does not take."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.parts.egress.settings import Egress
from pyinfra_gvisor.settings import load_settings
from tests.unit.egress_states import allowed, egress, problem

REASON = "asked for by the test"


def test_no_key_is_no_firewall_and_an_empty_one_is_the_default() -> None:
    none, _ = load_settings({})
    empty, _ = load_settings({"gvisor_egress": {}})
    explicit, _ = load_settings({"gvisor_egress": None})

    assert none is not None
    assert explicit is not None
    assert (none.egress, explicit.egress) == (None, None)
    assert empty is not None
    assert empty.egress == Egress()
    assert empty.egress.block == ("metadata", "private", "node", "smtp")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param(True, "input should be a valid dictionary", id="true"),
        pytest.param([], "input should be a valid dictionary", id="a-list"),
        pytest.param({"blok": []}, "['blok'] unknown key, got []", id="mistyped-key"),
        pytest.param({1: 2}, "['1'] keys should be strings, got 1", id="a-number-as-a-key"),
        pytest.param({"block": "metadata"}, "['block'] input should be a valid tuple", id="text"),
        pytest.param({"block": ["lan"]}, "['block']['0'] input should be 'metadata'", id="block"),
        pytest.param({"block": [["node"]]}, "['block']['0'] input should be", id="block-list"),
        pytest.param(
            allowed(""), "['allow']['0']['to'] not an address or a network (", id="to-empty"
        ),
        pytest.param(
            allowed("db.internal"),
            "['allow']['0']['to'] not an address or a network (",
            id="to-a-name",
        ),
        pytest.param(
            allowed("10.0.0.5/24"),
            "['allow']['0']['to'] not an address or a network (",
            id="host-bits",
        ),
        pytest.param(
            allowed("10.0.0.5\n"),
            "['allow']['0']['to'] not an address or a network (",
            id="newline",
        ),
        pytest.param({"allow": [{"to": 1}]}, "['allow']['0']['to'] input should be", id="number"),
        pytest.param({"allow": [{}]}, "['allow']['0']['to'] field required", id="to-missing"),
        pytest.param({"allow": ["10.0.0.5"]}, "['allow']['0'] input should be", id="allow-text"),
        pytest.param({"allow": {"to": "10.0.0.5"}}, "['allow'] input should be", id="allow-one"),
        pytest.param(
            allowed("10.0.0.5", port=["1"]), "['allow']['0']['port'] unknown key", id="allow-key"
        ),
        pytest.param(
            allowed("10.0.0.5", ports=["0"]),
            "['allow']['0']['ports'] not a port or a range of ports, got 0; "
            "write 443, 53/udp or 8000-8010/tcp",
            id="port-0",
        ),
        pytest.param(
            allowed("10.0.0.5", ports="5432"), "['allow']['0']['ports'] input", id="ports-text"
        ),
        pytest.param(
            {"deny": ["10.0.0.0/33"]}, "['deny'] not an address or a network (", id="deny-mask"
        ),
        pytest.param(
            {"deny": ["010.0.0.1"]}, "['deny'] not an address or a network (", id="deny-octal"
        ),
        pytest.param({"deny": [167772160]}, "['deny']['0'] input should be", id="deny-number"),
        pytest.param({"deny": [True]}, "['deny']['0'] input should be", id="deny-true"),
        pytest.param({"deny": "10.0.0.5"}, "['deny'] input should be a valid tuple", id="deny"),
        pytest.param(
            {"dns": ["10.0.0.0/8"]},
            "['dns'] a network instead of an address, got",
            id="dns-network",
        ),
        pytest.param({"dns": ["one.one"]}, "['dns'] not an address or a network (", id="dns-name"),
        pytest.param({"dns": "10.0.0.2"}, "['dns'] input should be a valid tuple", id="dns-text"),
        pytest.param({"smtp_ports": [0]}, "['smtp_ports']['0'] input should be", id="smtp-0"),
        pytest.param({"smtp_ports": [True]}, "['smtp_ports']['0'] input", id="smtp-true"),
        pytest.param({"smtp_ports": ["25"]}, "['smtp_ports']['0'] input", id="smtp-text"),
        pytest.param({"smtp_ports": [65536]}, "['smtp_ports']['0'] input", id="smtp-65536"),
        pytest.param({"new_connections_per_s": 0}, "['new_connections_per_s'] input", id="rate-0"),
        pytest.param({"new_connections_per_s": True}, "['new_connections_per_s']", id="rate-true"),
        pytest.param({"log_per_minute": 1.5}, "['log_per_minute'] input should", id="log-half"),
        pytest.param({"confirm_s": 4}, "['confirm_s'] input should be greater", id="confirm-4"),
        pytest.param({"confirm_s": None}, "['confirm_s'] input should be", id="confirm-none"),
        pytest.param({"force": "x"}, "['force'] string should have at least 10", id="force-short"),
        pytest.param(
            {"force": " " * 20}, "['force'] string should have at least", id="force-blank"
        ),
    ],
)
def test_a_bad_value_is_told_by_its_key(value: Any, message: str) -> None:
    assert problem(value).startswith(message)


@pytest.mark.parametrize(
    "ports",
    [
        pytest.param(text, id=name)
        for name, text in {
            "empty": "",
            "zero": "0",
            "to-zero": "0-1",
            "too-high": "65536",
            "reversed": "8010-8000",
            "six-digits": "000080",
            "negative": "-1",
            "open-end": "80-",
            "other-protocol": "80/sctp",
            "upper-case": "53/UDP",
            "spaces": " 80",
            "newline": "80\n",
            "two": "80,443",
            "another-script": "\u0668\u0660",
            "rule": "80 } accept",
        }.items()
    ],
)
def test_what_is_no_port_is_refused_wherever_ports_are_named(ports: str) -> None:
    assert problem({"node_ports": [ports]}).startswith("['node_ports'] not a port or ")
    assert "not a port or a range of ports" in problem(allowed("10.0.0.5", ports=[ports]))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(text, id=name)
        for name, text in {
            "empty": "",
            "everything": "*",
            "star-inside": "br*0",
            "two-stars": "br**",
            "too-long": "a" * 16,
            "space": "docker0 accept",
            "quote": 'a"b',
            "brace": "a{",
            "newline": "a\n",
            "newline-behind-a-star": "a*\n",
            "option": "-a",
            "not-ascii": "br\u00fccke",
        }.items()
    ],
)
def test_what_is_no_interface_is_refused(name: str) -> None:
    for key in ("interfaces", "exclude"):
        said = problem({key: [name]})
        assert said.startswith(f"['{key}'] not the name of an interface, got ")


def test_an_interface_is_filtered_or_left_alone_and_not_both() -> None:
    both = {"interfaces": ["cni0", "virbr*"], "exclude": ["virbr*"]}

    assert problem(both) == (
        "the interface is in interfaces and in exclude, got virbr*; remove it from one of the two"
    )


@pytest.mark.parametrize("name", [pytest.param(text, id=text) for text in ("lo", "lo*", "l*")])
def test_the_nodes_loopback_is_no_interface_of_containers(name: str) -> None:
    assert problem({"interfaces": [name]}) == (
        f"['interfaces'] includes the loopback interface, got {name}; "
        "remove it: only the node's own programs use the loopback interface"
    )


@pytest.mark.parametrize(
    ("settings", "attribute", "value"),
    [
        pytest.param({"block": ["smtp", "smtp"]}, "block", ("smtp",), id="twice"),
        pytest.param({"block": []}, "block", (), id="nothing-blocked"),
        pytest.param({"deny": ["10.0.0.0/255.0.0.0"]}, "deny", ("10.0.0.0/8",), id="netmask"),
        pytest.param({"deny": ["9.9.9.9"]}, "deny", ("9.9.9.9/32",), id="address"),
        pytest.param({"dns": ["FD00:0::53"]}, "dns", ("fd00::53",), id="dns-as-packets-have-it"),
        pytest.param({"dns": []}, "dns", (), id="no-dns"),
        pytest.param({}, "dns", None, id="dns-of-the-node"),
        pytest.param({"interfaces": ["virbr*", "a" * 15]}, "interfaces", ("virbr*", "a" * 15),
                     id="interfaces"),
        pytest.param({"smtp_ports": []}, "smtp_ports", (), id="no-mail-ports"),
        pytest.param({"new_connections_per_s": None}, "new_connections_per_s", None, id="no-rate"),
        pytest.param({"log_per_minute": None}, "log_per_minute", None, id="no-log"),
        pytest.param({"force": f" {REASON} "}, "force", REASON, id="force"),
    ],
)  # fmt: skip
def test_a_good_value_is_taken(settings: dict[str, Any], attribute: str, value: object) -> None:
    assert getattr(egress(**settings), attribute) == value


def test_that_allow_wins_over_deny_is_said_where_it_is_set() -> None:
    description = Egress.model_fields["allow"].description

    assert description is not None
    assert "`allow` wins over `block` and `deny`" in description
