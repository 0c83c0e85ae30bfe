"""Docker's networks in an audit: whose addresses they take, and which pass the firewall by."""

from __future__ import annotations

import json

from pyinfra_gvisor.policy.findings import Severity
from tests.cases.proven import proven, proven_answer
from tests.table import table
from tests.unit.audit.audited import audited, found, waived
from tests.unit.egress.firewalled import firewall, guarded

RULE = "network-takes-addresses"
NODE = (
    *("egress gateway 0102A8C0", f"egress gateway fd{'0' * 29}1", f"egress gateway {'0' * 8}"),
    *("egress resolver 10.1.2.3", "egress resolver fd00::53", "egress resolver odd"),
)
LINK_LOCAL = "takes 169.254.0.0/16 (link-local, with the metadata services at 169.254.169.254)"


@table(
    "subnet, why",
    metadata=("169.254.169.254/32", f"{LINK_LOCAL}, is not private"),
    metadata_of_aws=("fd00:ec2::/64", "takes fd00:ec2::254/128 (AWS)"),
    link_local=("fe80::/64", "takes fe80::/10 (link-local, RFC 4291), is not private"),
    gateway=("192.168.2.0/24", "takes 192.168.2.1 (a default gateway of the node)"),
    gateway_of_ipv6=("fd00::/120", "takes fd00::1 (a default gateway of the node)"),
    resolver=("10.1.2.9/16", "takes 10.1.2.3 (a resolver of the node)"),
    public=("203.0.113.0/24", "is not private"),
    public_of_ipv6=("2001:db8::/64", "is not private"),
    nat64=("64:ff9b:1::/96", "is not private"),
    wider_than_private=("172.0.0.0/8", "is not private"),
    unreadable=("?", "is no subnet"),
)
def test_addresses_that_are_not_the_tenants_are_found(subnet: str, why: str) -> None:
    report = found(audited(*NODE, f"egress subnet bridge {subnet} a b"))

    finding = report[f"{RULE} network a b"]
    assert finding.severity is Severity.HIGH
    assert [part for part in why.split("), ") if part not in finding.evidence] == []
    assert finding.evidence.startswith(f"{subnet} ")


@table(
    "line",
    private="bridge 172.18.0.0/16 shop",
    shared="bridge 100.64.0.0/16 shop",
    private_of_ipv6="bridge fd00:1::/64 shop",
    the_default="bridge 198.51.100.0/24 bridge",
    swarms="overlay 192.168.2.0/24 ingress",
    on_the_nodes_own="macvlan 192.168.2.0/24 lan",
    without_addresses="null 0.0.0.0/0 none",
)
def test_other_networks_are_not(line: str) -> None:
    assert [key for key in found(audited(*NODE, f"egress subnet {line}")) if RULE in key] == []


def test_public_addresses_of_the_operators_own_are_none_or_waived() -> None:
    pool = {"default-address-pools": [{"base": "198.51.100.0/24", "size": 28}, {}, "x"]}
    given = json.dumps({**json.loads(proven()["daemon_json"]), **pool})
    lines = [f"egress subnet bridge {text} shop" for text in ("198.51.100.16/28", "8.8.8.0/24")]

    own = audited(*lines, answer=proven_answer(daemon_json=given))
    accepted = audited(lines[1], settings={"gvisor_waivers": {RULE: "these are our own"}})

    assert found(own)[f"{RULE} network shop"].evidence == "8.8.8.0/24 is not private"
    assert waived(accepted)[f"{RULE} network shop"] == "these are our own"


@table("driver", macvlan="macvlan", ipvlan="ipvlan")
def test_a_network_on_the_nodes_own_is_found_with_and_without_a_firewall(driver: str) -> None:
    line, key = f"network {driver} - lan", "network-past-firewall network lan"

    bare = found(audited(f"egress {line}"))[key]
    filtered = found(guarded(told=firewall(later=[line])))

    assert (bare.severity, bare.evidence) == (Severity.MEDIUM, f"its driver is {driver}")
    assert filtered[key].severity is Severity.HIGH
    assert [item for item in filtered if "egress-not-covered" in item] == []
