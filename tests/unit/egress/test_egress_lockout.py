"""What the rules have to know of a node, and what is refused because it would cut too much."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.parts.egress.host_network import (
    FROM_BRIDGE,
    Surroundings,
    literal,
    matches,
    outside,
    resolvers,
    surroundings,
)
from pyinfra_gvisor.parts.egress.lockout import covered, is_blocked, lockouts
from pyinfra_gvisor.parts.egress.state import DockerNetwork, Ssh
from tests.table import table
from tests.unit.egress.egress_states import NETWORKS, egress, found

APPS = "br-0123456789ab"
FILTERED = f"{FROM_BRIDGE} goto to_node"
"""Rules that are for every bridge."""


def around(settings: dict[str, Any] | None = None, **changes: Any) -> Surroundings:
    """What the rules know of a node with these settings."""
    return surroundings(found(**changes), egress(**(settings or {})))


def bridged(*bridges: str, driver: str = "bridge") -> tuple[DockerNetwork, ...]:
    """Docker's networks, with one on each of these bridges."""
    own = [DockerNetwork(name=f"of {it}", driver=driver, bridge=it) for it in bridges]
    return (*NETWORKS, *own)


def test_of_a_plain_node_the_rules_know_its_resolver_alone() -> None:
    assert around() == Surroundings(resolvers=("192.0.2.53",))


def test_networks_of_dockers_change_no_rules_whatever_their_bridges_are_called() -> None:
    bridges = ("shop0", APPS, "br-shop", 'q"q', "a\\b", "e*", "a b{", "caf??", "")

    known = around(networks=bridged(*bridges), bridges=("docker0", *bridges))

    assert known == around()


@table(
    "changes, reason",
    {
        "port": ({"ports": {"br0": "eth0"}}, "has a port that leaves this node (eth0)"),
        "both": ({"uplinks": ("br0",), "ports": {"br0": "eth0"}}, "carries the default route"),
        "docker-shares-it": (
            {"uplinks": ("br0",), "networks": bridged("br0")},
            "carries the default route",
        ),
    },
)
def test_a_bridge_that_the_node_is_reached_by_is_left_alone(
    changes: dict[str, Any], reason: str
) -> None:
    node = found(bridges=("docker0", "br0"), **changes)

    known = surroundings(node, egress())

    assert (known.excluded, known.foreign) == (("br0",), ())
    assert outside(node, egress()) == {"br0": reason}


@table(
    "changes, expected",
    {
        "two": ({"bridges": ("docker0", "virbr0", "br-lan")}, ("br-lan", "virbr0")),
        "13-digits": ({"bridges": ("br-0123456789abc",)}, ("br-0123456789abc",)),
        "of-a-network-that-is-being-made": ({"bridges": (APPS,)}, ()),
        "dockers": ({"bridges": ("shop0",), "networks": bridged("shop0")}, ()),
        "docker-tells-nothing": ({"bridges": ("virbr0",), "networks": ()}, ()),
        "no-bridge": ({"uplinks": ("eth0", "virbr0")}, ()),
        "a-star": ({"bridges": ("e*",)}, ("e\\*",)),
        "a-name-that-nft-cannot-express": ({"bridges": ('q"q',)}, ()),
    },
)
def test_a_bridge_that_others_have_made_is_filtered_but_not_one_of_containers(
    changes: dict[str, Any], expected: tuple[str, ...]
) -> None:
    known = around(**changes)

    assert (known.foreign, known.excluded) == (expected, ())


@table(
    "settings, interfaces, excluded, others",
    {
        "interfaces": ({"interfaces": ["virbr0", "cali*", "virbr0"]}, ("virbr0", "cali*"), (), ()),
        "exclude": ({"exclude": ["virbr*"]}, (), ("virbr*", "virbr0"), ()),
        "one-not-there": ({"exclude": ["lxdbr0"]}, (), ("lxdbr0",), ("virbr0",)),
        "all-but-one": (
            {"interfaces": ["vir*"], "exclude": ["virbr0"]},
            ("vir*",),
            ("virbr0",),
            (),
        ),
    },
)
def test_the_settings_say_what_a_bridge_of_others_is(
    settings: dict[str, Any],
    interfaces: tuple[str, ...],
    excluded: tuple[str, ...],
    others: tuple[str, ...],
) -> None:
    known = around(settings, bridges=("docker0", "virbr0"))

    assert known == Surroundings(interfaces, excluded, others, ("192.0.2.53",))


def test_what_the_settings_name_is_not_left_alone_by_itself() -> None:
    known = around({"interfaces": ["br0"]}, bridges=("br0",), uplinks=("br0",))

    assert (known.interfaces, known.excluded) == (("br0",), ())


@table(
    "name, expected",
    {
        "plain": ("br0", "br0"),
        "backslash": ("a\\b", "a\\b"),
        "a-star-inside": ("e*f", "e*f"),
        "a-star-at-the-end": ("e*", "e\\*"),
        "a-star-as-the-14th": ("1234567890123*", "1234567890123\\*"),
        "a-star-as-the-15th": ("12345678901234*", None),
        "backslash-and-star": ("a\\*", None),
        "quote": ('q"q', None),
        "no-ascii": ("caf??", None),
        "no-ascii-told": ("\u00e9", None),
        "control": ("a\x01", None),
    },
)
def test_a_name_is_written_so_that_nft_matches_it_alone(name: str, expected: str | None) -> None:
    text = literal(name)

    assert text == expected
    if text is not None:
        assert matches(name, (text,))
        assert not matches(f"{name[:-1]}other", (text,))


@table(
    "told, named, expected",
    {
        "the-nodes": (("10.0.0.2", "fd00::53"), (), ("10.0.0.2", "fd00::53")),
        "dockers-before-the-nodes": (("10.0.0.2",), ("10.0.0.3",), ("10.0.0.3",)),
        "loopback": (("127.0.0.53", "127.0.0.1", "::1"), (), ()),
        "dockers-on-loopback": (("10.0.0.2",), ("127.0.0.1",), ()),
        "loopback-in-ipv6s-form": (("::ffff:127.0.0.1",), (), ()),
        "scope": (("fe80::1%eth0",), (), ("fe80::1",)),
        "written-otherwise": (("FD00:0::53",), (), ("fd00::53",)),
        "ipv4-in-ipv6s-form": (("::ffff:10.0.0.2",), (), ("10.0.0.2",)),
        "junk": (("", "None", "one.one", "10.0.0.0/8", "10.0.0.2\r", "2"), (), ()),
    },
)
def test_those_are_asked_whom_docker_asks(
    told: tuple[str, ...], named: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert resolvers(found(resolvers=told), named) == expected


@table(
    "dns, expected",
    {
        "the-nodes": (None, ("10.0.0.2",)),
        "none": ([], ()),
        "named": (["10.0.0.9", "10.0.0.8", "10.0.0.9"], ("10.0.0.8", "10.0.0.9")),
    },
)
def test_the_settings_name_others(dns: list[str] | None, expected: tuple[str, ...]) -> None:
    known = around({"dns": dns}, resolvers=("10.0.0.2", "10.0.0.2", "127.0.0.53"))

    assert known.resolvers == expected


@table(
    "name, pattern, expected",
    {
        "same": ("docker0", "docker0", True),
        "longer": ("docker01", "docker0", False),
        "beginning": ("br-x", "br-*", True),
        "shorter": ("br", "br-*", False),
        "brackets-are-themselves": ("a[b]", "a[b]", True),
        "question-mark-is-itself": ("ab", "a?", False),
        "star-inside-is-itself": ("axb", "a*b", False),
        "escaped-star": ("e*", "e\\*", True),
        "escaped-star-is-no-wildcard": ("evil0", "e\\*", False),
    },
)
def test_a_name_matches_as_it_does_in_nft(name: str, pattern: str, expected: bool) -> None:
    assert matches(name, (pattern,)) is expected


def refused(
    settings: dict[str, Any] | None = None,
    *,
    dns: tuple[str, ...] = (),
    proxied: bool = False,
    **changes: Any,
) -> list[Problem]:
    """Why these rules must not be loaded on a node that is like that."""
    node, wanted = found(**{"rules": FILTERED, **changes}), egress(**(settings or {}))
    around = surroundings(node, wanted, dns)
    return lockouts(node, wanted, around, dns=dns, proxied=proxied)


def ssh(interface: str, client: str = "172.18.0.2", port: int = 22) -> Ssh:
    """The controller's way in."""
    return Ssh(client=client, port=port, interface=interface)


def test_a_plain_node_is_cut_nothing() -> None:
    assert refused(ssh=ssh("eth0", "198.51.100.9")) == []


@table(
    "uplinks, interfaces, got",
    {
        "a-bridge-that-is-named": (("br-lan",), ["br-lan"], ["br-lan"]),
        "two-of-three": (("eth0", "eth1", "wg0"), ["eth*"], ["eth0", "eth1"]),
        "dockers-to-the-letter": (("br-0123456789ab",), [], []),
        "no-way-out": ((), ["eth*"], []),
    },
)
def test_the_nodes_way_out_is_no_interface_of_containers(
    uplinks: tuple[str, ...], interfaces: list[str], got: list[str]
) -> None:
    bridges = ("docker0", "br-lan", "br-0123456789ab")

    problems = refused({"interfaces": interfaces}, uplinks=uplinks, bridges=bridges)

    assert [problem.got for problem in problems] == got


@pytest.mark.parametrize("changes", [{"uplinks": ('q"q',)}, {"ports": {'q"q': "eth1"}}], ids=list)
def test_a_bridge_to_be_left_alone_whose_name_nft_cannot_express_is_refused(
    changes: dict[str, Any],
) -> None:
    (problem,) = refused(bridges=('q"q',), **changes)

    assert problem.got == 'q"q'
    assert "nft cannot express" in problem.what
    assert "rename the bridge" in problem.todo
    assert refused({"exclude": ["q*"]}, bridges=('q"q',), **changes) == []


def test_an_interface_that_is_excluded_cuts_nobody() -> None:
    excluded = {"interfaces": ["eth*"], "exclude": ["eth0"]}

    assert refused(excluded, uplinks=("eth0",), ssh=ssh("eth0")) == []


@table(
    "way, settings, is_refused",
    {
        "from-a-container": (ssh("docker0"), {}, True),
        "its-port-is-let-in": (ssh("docker0"), {"node_ports": ["22"]}, False),
        "another-port": (ssh("docker0", port=2222), {"node_ports": ["22"]}, True),
        "the-node-is-open": (ssh("docker0"), {"block": ["private"]}, False),
        "by-the-way-out": (ssh("eth0"), {}, False),
        "by-one-that-is-excluded": (ssh("br-lan"), {"exclude": ["br-lan"]}, False),
        "by-a-bridge-of-another-name": (ssh("evil0"), {}, True),
        "by-no-known-way": (ssh("", "fe80::1%eth0"), {}, False),
        "not-by-ssh": (None, {}, False),
    },
)
def test_the_controllers_own_ssh_is_let_in(
    way: Ssh | None, settings: dict[str, Any], is_refused: bool
) -> None:
    bridges = ("docker0", "br-lan", "br-0123456789ab", "evil0")

    problems = refused(settings, ssh=way, bridges=bridges)

    assert bool(problems) is is_refused


@table(
    "settings, got",
    {
        "asked-where-it-is": ({}, []),
        "none": ({"dns": []}, ["10.0.0.2", "fd00::53"]),
        "another": ({"dns": ["FD00::53"]}, ["10.0.0.2"]),
        "nothing-blocked": ({"dns": [], "block": []}, []),
        "allowed": ({"dns": [], "allow": [{"to": "10.0.0.0/24"}]}, ["fd00::53"]),
        "its-port-allowed": (
            {"dns": [], "allow": [{"to": "10.0.0.2", "ports": ["50-60/udp"]}]},
            ["fd00::53"],
        ),
        "only-tcp-allowed": (
            {"dns": [], "allow": [{"to": "10.0.0.2", "ports": ["53"]}]},
            ["10.0.0.2", "fd00::53"],
        ),
        "all-denied": ({"dns": [], "block": [], "deny": ["0.0.0.0/0"]}, ["10.0.0.2"]),
    },
)
def test_whom_dockers_dns_asks_can_be_asked(settings: dict[str, Any], got: list[str]) -> None:
    problems = refused(settings, resolvers=("10.0.0.2", "127.0.0.53", "junk", "fd00::53%eth0"))

    assert [problem.got for problem in problems] == got


def test_dockers_own_resolvers_count_instead_of_the_nodes() -> None:
    settings: dict[str, Any] = {"dns": []}

    assert refused(settings, dns=("9.9.9.9",), resolvers=("10.0.0.2",)) == []
    assert [item.got for item in refused(settings, dns=("10.0.0.3",))] == ["10.0.0.3"]


@table(
    "settings, published, got",
    {
        "two": ({}, ("53/udp", "8080/tcp"), "53/udp, 8080/tcp"),
        "a-rest": ({"node_ports": ["8000-9000"]}, ("53/udp", "8080/tcp"), "53/udp"),
        "the-node-is-open": ({"block": ["metadata"]}, ("8080/tcp",), None),
        "none-published": ({}, (), None),
    },
)
def test_ports_that_containers_reach_through_the_proxy_are_not_cut(
    settings: dict[str, Any], published: tuple[str, ...], got: str | None
) -> None:
    problems = refused(settings, published=published, proxied=True)

    assert [problem.got for problem in problems] == ([] if got is None else [got])
    assert refused(settings, published=published) == []


def test_every_reason_is_told_in_full() -> None:
    problems = refused(
        {"interfaces": ["eth*"], "dns": []},
        uplinks=("eth0",),
        ssh=ssh("eth1", port=2222),
        resolvers=("10.0.0.2",),
        published=("8080/tcp",),
        proxied=True,
    )

    assert "\n".join(map(str, problems)) == (
        "the interface connects this node to its network; filtering it like a container interface "
        "would cut published ports and other services of the node, got eth0; "
        "remove it from gvisor_egress['interfaces']\n"
        "the rules would cut this SSH connection: it comes from 172.18.0.2 over a container "
        "interface, got eth1; add '2222' to gvisor_egress['node_ports']; if the interface connects "
        "no containers, add it to gvisor_egress['exclude'] instead\n"
        "the rules would block a resolver that Docker's DNS uses, got 10.0.0.2; "
        "remove gvisor_egress['dns'], or add the resolver to it\n"
        "containers could no longer reach published ports of this node: dockerd's userland-proxy "
        "serves them, and counts as the node itself, got 8080/tcp; "
        'set gvisor_daemon_json = {"userland-proxy": False}, or add these ports to '
        "gvisor_egress['node_ports']"
    )


@table(
    "address, settings, expected",
    {
        "metadata": ("169.254.169.254", {}, True),
        "metadata-left-out": ("169.254.169.254", {"block": ["private"]}, False),
        "private": ("10.0.0.1", {}, True),
        "private-through-nat64": ("64:ff9b::a00:1", {}, True),
        "internet": ("9.9.9.9", {}, False),
        "denied": ("9.9.9.9", {"deny": ["9.0.0.0/8"]}, True),
        "denied-by-nat64": ("64:ff9b::909:909", {"deny": ["9.0.0.0/8"]}, True),
        "another-family": ("2001:db8::1", {"deny": ["0.0.0.0/0"]}, False),
    },
)
def test_an_address_is_blocked_as_the_rules_have_it(
    address: str, settings: dict[str, Any], expected: bool
) -> None:
    assert is_blocked(address, egress(**settings)) is expected


@table(
    "port, ranges, expected",
    {
        "in": ("53/udp", ["50-60/udp"], True),
        "another-protocol": ("53/udp", ["53"], False),
        "between": ("53/udp", ["1-52/udp", "54/udp"], False),
        "last": ("65535/tcp", ["65535"], True),
        "a-protocol-that-no-range-has": ("80/sctp", ["80", "80/udp"], False),
    },
)
def test_a_port_is_covered_by_a_range_of_its_protocol(
    port: str, ranges: list[str], expected: bool
) -> None:
    assert covered(port, ranges) is expected
