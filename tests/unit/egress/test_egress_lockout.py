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


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param(
            {"ports": {"br0": "eth0"}}, "has a port that leaves this node (eth0)", id="port"
        ),
        pytest.param(
            {"uplinks": ("br0",), "ports": {"br0": "eth0"}}, "carries the default route", id="both"
        ),
        pytest.param(
            {"uplinks": ("br0",), "networks": bridged("br0")},
            "carries the default route",
            id="docker-shares-it",
        ),
    ],
)
def test_a_bridge_that_the_node_is_reached_by_is_left_alone(
    changes: dict[str, Any], reason: str
) -> None:
    node = found(bridges=("docker0", "br0"), **changes)

    known = surroundings(node, egress())

    assert (known.excluded, known.foreign) == (("br0",), ())
    assert outside(node, egress()) == {"br0": reason}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"bridges": ("docker0", "virbr0", "br-lan")}, ("br-lan", "virbr0"), id="two"),
        pytest.param({"bridges": ("br-0123456789abc",)}, ("br-0123456789abc",), id="13-digits"),
        pytest.param({"bridges": (APPS,)}, (), id="of-a-network-that-is-being-made"),
        pytest.param({"bridges": ("shop0",), "networks": bridged("shop0")}, (), id="dockers"),
        pytest.param({"bridges": ("virbr0",), "networks": ()}, (), id="docker-tells-nothing"),
        pytest.param({"uplinks": ("eth0", "virbr0")}, (), id="no-bridge"),
        pytest.param({"bridges": ("e*",)}, ("e\\*",), id="a-star"),
        pytest.param({"bridges": ('q"q',)}, (), id="a-name-that-nft-cannot-express"),
    ],
)
def test_a_bridge_that_others_have_made_is_filtered_but_not_one_of_containers(
    changes: dict[str, Any], expected: tuple[str, ...]
) -> None:
    known = around(**changes)

    assert (known.foreign, known.excluded) == (expected, ())


@pytest.mark.parametrize(
    ("settings", "interfaces", "excluded", "others"),
    [
        pytest.param({"interfaces": ["virbr0", "cali*", "virbr0"]}, ("virbr0", "cali*"), (), (),
                     id="interfaces"),
        pytest.param({"exclude": ["virbr*"]}, (), ("virbr*", "virbr0"), (), id="exclude"),
        pytest.param({"exclude": ["lxdbr0"]}, (), ("lxdbr0",), ("virbr0",), id="one-not-there"),
        pytest.param({"interfaces": ["vir*"], "exclude": ["virbr0"]}, ("vir*",), ("virbr0",), (),
                     id="all-but-one"),
    ],
)  # fmt: skip
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


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("br0", "br0", id="plain"),
        pytest.param("a\\b", "a\\b", id="backslash"),
        pytest.param("e*f", "e*f", id="a-star-inside"),
        pytest.param("e*", "e\\*", id="a-star-at-the-end"),
        pytest.param("1234567890123*", "1234567890123\\*", id="a-star-as-the-14th"),
        pytest.param("12345678901234*", None, id="a-star-as-the-15th"),
        pytest.param("a\\*", None, id="backslash-and-star"),
        pytest.param('q"q', None, id="quote"),
        pytest.param("caf??", None, id="no-ascii"),
        pytest.param("\u00e9", None, id="no-ascii-told"),
        pytest.param("a\x01", None, id="control"),
    ],
)
def test_a_name_is_written_so_that_nft_matches_it_alone(name: str, expected: str | None) -> None:
    text = literal(name)

    assert text == expected
    if text is not None:
        assert matches(name, (text,))
        assert not matches(f"{name[:-1]}other", (text,))


@pytest.mark.parametrize(
    ("told", "named", "expected"),
    [
        pytest.param(("10.0.0.2", "fd00::53"), (), ("10.0.0.2", "fd00::53"), id="the-nodes"),
        pytest.param(("10.0.0.2",), ("10.0.0.3",), ("10.0.0.3",), id="dockers-before-the-nodes"),
        pytest.param(("127.0.0.53", "127.0.0.1", "::1"), (), (), id="loopback"),
        pytest.param(("10.0.0.2",), ("127.0.0.1",), (), id="dockers-on-loopback"),
        pytest.param(("::ffff:127.0.0.1",), (), (), id="loopback-in-ipv6s-form"),
        pytest.param(("fe80::1%eth0",), (), ("fe80::1",), id="scope"),
        pytest.param(("FD00:0::53",), (), ("fd00::53",), id="written-otherwise"),
        pytest.param(("::ffff:10.0.0.2",), (), ("10.0.0.2",), id="ipv4-in-ipv6s-form"),
        pytest.param(("", "None", "one.one", "10.0.0.0/8", "10.0.0.2\r", "2"), (), (), id="junk"),
    ],
)
def test_those_are_asked_whom_docker_asks(
    told: tuple[str, ...], named: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert resolvers(found(resolvers=told), named) == expected


@pytest.mark.parametrize(
    ("dns", "expected"),
    [
        pytest.param(None, ("10.0.0.2",), id="the-nodes"),
        pytest.param([], (), id="none"),
        pytest.param(["10.0.0.9", "10.0.0.8", "10.0.0.9"], ("10.0.0.8", "10.0.0.9"), id="named"),
    ],
)
def test_the_settings_name_others(dns: list[str] | None, expected: tuple[str, ...]) -> None:
    known = around({"dns": dns}, resolvers=("10.0.0.2", "10.0.0.2", "127.0.0.53"))

    assert known.resolvers == expected


@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        pytest.param("docker0", "docker0", True, id="same"),
        pytest.param("docker01", "docker0", False, id="longer"),
        pytest.param("br-x", "br-*", True, id="beginning"),
        pytest.param("br", "br-*", False, id="shorter"),
        pytest.param("a[b]", "a[b]", True, id="brackets-are-themselves"),
        pytest.param("ab", "a?", False, id="question-mark-is-itself"),
        pytest.param("axb", "a*b", False, id="star-inside-is-itself"),
        pytest.param("e*", "e\\*", True, id="escaped-star"),
        pytest.param("evil0", "e\\*", False, id="escaped-star-is-no-wildcard"),
    ],
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


@pytest.mark.parametrize(
    ("uplinks", "interfaces", "got"),
    [
        pytest.param(("br-lan",), ["br-lan"], ["br-lan"], id="a-bridge-that-is-named"),
        pytest.param(("eth0", "eth1", "wg0"), ["eth*"], ["eth0", "eth1"], id="two-of-three"),
        pytest.param(("br-0123456789ab",), [], [], id="dockers-to-the-letter"),
        pytest.param((), ["eth*"], [], id="no-way-out"),
    ],
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


@pytest.mark.parametrize(
    ("way", "settings", "is_refused"),
    [
        pytest.param(ssh("docker0"), {}, True, id="from-a-container"),
        pytest.param(ssh("docker0"), {"node_ports": ["22"]}, False, id="its-port-is-let-in"),
        pytest.param(ssh("docker0", port=2222), {"node_ports": ["22"]}, True, id="another-port"),
        pytest.param(ssh("docker0"), {"block": ["private"]}, False, id="the-node-is-open"),
        pytest.param(ssh("eth0"), {}, False, id="by-the-way-out"),
        pytest.param(ssh("br-lan"), {"exclude": ["br-lan"]}, False, id="by-one-that-is-excluded"),
        pytest.param(ssh("evil0"), {}, True, id="by-a-bridge-of-another-name"),
        pytest.param(ssh("", "fe80::1%eth0"), {}, False, id="by-no-known-way"),
        pytest.param(None, {}, False, id="not-by-ssh"),
    ],
)
def test_the_controllers_own_ssh_is_let_in(
    way: Ssh | None, settings: dict[str, Any], is_refused: bool
) -> None:
    bridges = ("docker0", "br-lan", "br-0123456789ab", "evil0")

    problems = refused(settings, ssh=way, bridges=bridges)

    assert bool(problems) is is_refused


@pytest.mark.parametrize(
    ("settings", "got"),
    [
        pytest.param({}, [], id="asked-where-it-is"),
        pytest.param({"dns": []}, ["10.0.0.2", "fd00::53"], id="none"),
        pytest.param({"dns": ["FD00::53"]}, ["10.0.0.2"], id="another"),
        pytest.param({"dns": [], "block": []}, [], id="nothing-blocked"),
        pytest.param({"dns": [], "allow": [{"to": "10.0.0.0/24"}]}, ["fd00::53"], id="allowed"),
        pytest.param(
            {"dns": [], "allow": [{"to": "10.0.0.2", "ports": ["50-60/udp"]}]},
            ["fd00::53"],
            id="its-port-allowed",
        ),
        pytest.param(
            {"dns": [], "allow": [{"to": "10.0.0.2", "ports": ["53"]}]},
            ["10.0.0.2", "fd00::53"],
            id="only-tcp-allowed",
        ),
        pytest.param(
            {"dns": [], "block": [], "deny": ["0.0.0.0/0"]}, ["10.0.0.2"], id="all-denied"
        ),
    ],
)
def test_whom_dockers_dns_asks_can_be_asked(settings: dict[str, Any], got: list[str]) -> None:
    problems = refused(settings, resolvers=("10.0.0.2", "127.0.0.53", "junk", "fd00::53%eth0"))

    assert [problem.got for problem in problems] == got


def test_dockers_own_resolvers_count_instead_of_the_nodes() -> None:
    settings: dict[str, Any] = {"dns": []}

    assert refused(settings, dns=("9.9.9.9",), resolvers=("10.0.0.2",)) == []
    assert [item.got for item in refused(settings, dns=("10.0.0.3",))] == ["10.0.0.3"]


@pytest.mark.parametrize(
    ("settings", "published", "got"),
    [
        pytest.param({}, ("53/udp", "8080/tcp"), "53/udp, 8080/tcp", id="two"),
        pytest.param({"node_ports": ["8000-9000"]}, ("53/udp", "8080/tcp"), "53/udp", id="a-rest"),
        pytest.param({"block": ["metadata"]}, ("8080/tcp",), None, id="the-node-is-open"),
        pytest.param({}, (), None, id="none-published"),
    ],
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


@pytest.mark.parametrize(
    ("address", "settings", "expected"),
    [
        pytest.param("169.254.169.254", {}, True, id="metadata"),
        pytest.param("169.254.169.254", {"block": ["private"]}, False, id="metadata-left-out"),
        pytest.param("10.0.0.1", {}, True, id="private"),
        pytest.param("64:ff9b::a00:1", {}, True, id="private-through-nat64"),
        pytest.param("9.9.9.9", {}, False, id="internet"),
        pytest.param("9.9.9.9", {"deny": ["9.0.0.0/8"]}, True, id="denied"),
        pytest.param("64:ff9b::909:909", {"deny": ["9.0.0.0/8"]}, True, id="denied-by-nat64"),
        pytest.param("2001:db8::1", {"deny": ["0.0.0.0/0"]}, False, id="another-family"),
    ],
)
def test_an_address_is_blocked_as_the_rules_have_it(
    address: str, settings: dict[str, Any], expected: bool
) -> None:
    assert is_blocked(address, egress(**settings)) is expected


@pytest.mark.parametrize(
    ("port", "ranges", "expected"),
    [
        pytest.param("53/udp", ["50-60/udp"], True, id="in"),
        pytest.param("53/udp", ["53"], False, id="another-protocol"),
        pytest.param("53/udp", ["1-52/udp", "54/udp"], False, id="between"),
        pytest.param("65535/tcp", ["65535"], True, id="last"),
        pytest.param("80/sctp", ["80", "80/udp"], False, id="a-protocol-that-no-range-has"),
    ],
)
def test_a_port_is_covered_by_a_range_of_its_protocol(
    port: str, ranges: list[str], expected: bool
) -> None:
    assert covered(port, ranges) is expected
