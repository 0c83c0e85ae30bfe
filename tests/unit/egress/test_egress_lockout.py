"""What the rules have to know of a node, and what is refused because it would cut too much."""

from __future__ import annotations

from typing import Any

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.parts.egress import host_network
from pyinfra_gvisor.parts.egress.lockout import covered, is_blocked, lockouts
from pyinfra_gvisor.parts.egress.state import DockerNetwork, Ssh
from tests.table import table
from tests.unit.egress.egress_states import NETWORKS, allowed, egress, found

APPS = "br-0123456789ab"


def around(settings: dict[str, Any] | None = None, **changes: Any) -> host_network.Surroundings:
    """What the rules know of a node with these settings."""
    return host_network.surroundings(found(**changes), egress(**(settings or {})))


def bridged(*bridges: str, driver: str = "bridge") -> tuple[DockerNetwork, ...]:
    """Docker's networks, with one on each of these bridges."""
    own = [DockerNetwork(name=f"of {it}", driver=driver, bridge=it) for it in bridges]
    return (*NETWORKS, *own)


@table(
    "changes, reason",
    port=({"ports": {"br0": "eth0"}}, "has a port that leaves this node (eth0)"),
    both=({"uplinks": ("br0",), "ports": {"br0": "eth0"}}, "carries the default route"),
)
def test_a_bridge_to_the_nodes_network_is_left_alone(changes: Any, reason: str) -> None:
    node = found(bridges=("docker0", "br0"), **changes)

    known = host_network.surroundings(node, egress())

    assert (known.excluded, known.foreign) == (("br0",), ())
    assert host_network.outside(node, egress()) == {"br0": reason}


@table(
    "changes, expected",
    two=({"bridges": ("docker0", "virbr0", "br-lan")}, ("br-lan", "virbr0")),
    thirteen_digits=({"bridges": ("br-0123456789abc",)}, ("br-0123456789abc",)),
    of_a_network_that_is_being_made=({"bridges": (APPS,)}, ()),
    dockers=({"bridges": ("shop0",), "networks": bridged("shop0")}, ()),
    docker_tells_nothing=({"bridges": ("virbr0",), "networks": ()}, ()),
    no_bridge=({"uplinks": ("eth0", "virbr0")}, ()),
    a_star=({"bridges": ("e*",)}, ("e\\*",)),
    a_name_that_nft_cannot_express=({"bridges": ('q"q',)}, ()),
)
def test_a_bridge_of_others_is_known_and_no_other_is(changes: Any, expected: Any) -> None:
    known = around(**changes)

    assert (known.foreign, known.excluded) == (expected, ())


@table(
    "settings, changes, expected",
    twice=({"interfaces": ["virbr0", "cali*", "virbr0"]}, {}, (("virbr0", "cali*"), (), ())),
    exclude=({"exclude": ["virbr*"]}, {}, ((), ("virbr*", "virbr0"), ())),
    one_not_there=({"exclude": ["lxdbr0"]}, {}, ((), ("lxdbr0",), ("virbr0",))),
    but_one=({"interfaces": ["v*"], "exclude": ["virbr0"]}, {}, (("v*",), ("virbr0",), ())),
    way_out=({"interfaces": ["virbr0"]}, {"uplinks": ("virbr0",)}, (("virbr0",), (), ())),
)
def test_the_settings_say_what_a_bridge_is(settings: Any, changes: Any, expected: Any) -> None:
    known = around(settings, bridges=("docker0", "virbr0"), **changes)

    assert known == host_network.Surroundings(*expected, resolvers=("192.0.2.53",))


@table(
    "name, expected",
    plain=("br0", "br0"),
    backslash=("a\\b", "a\\b"),
    a_star_inside=("e*f", "e*f"),
    a_star_at_the_end=("e*", "e\\*"),
    a_star_as_the_14th=("1234567890123*", "1234567890123\\*"),
    a_star_as_the_15th=("12345678901234*", None),
    backslash_and_star=("a\\*", None),
    quote=('q"q', None),
    no_ascii=("caf??", None),
    no_ascii_told=("\u00e9", None),
    control=("a\x01", None),
)
def test_a_name_is_written_so_that_nft_matches_it_alone(name: str, expected: str | None) -> None:
    text = host_network.literal(name)

    assert text == expected
    if text is not None:
        assert host_network.matches(name, (text,))
        assert not host_network.matches(f"{name[:-1]}other", (text,))


@table(
    "told, named, expected",
    the_nodes=(("10.0.0.2", "fd00::53"), (), ("10.0.0.2", "fd00::53")),
    dockers_before_the_nodes=(("10.0.0.2",), ("10.0.0.3",), ("10.0.0.3",)),
    loopback=(("127.0.0.53", "127.0.0.1", "::1"), (), ()),
    dockers_on_loopback=(("10.0.0.2",), ("127.0.0.1",), ()),
    loopback_in_ipv6s_form=(("::ffff:127.0.0.1",), (), ()),
    scope=(("fe80::1%eth0",), (), ("fe80::1",)),
    written_otherwise=(("FD00:0::53",), (), ("fd00::53",)),
    ipv4_in_ipv6s_form=(("::ffff:10.0.0.2",), (), ("10.0.0.2",)),
    junk=(("", "None", "one.one", "10.0.0.0/8", "10.0.0.2\r", "2"), (), ()),
)
def test_those_are_asked_whom_docker_asks(told: Any, named: Any, expected: Any) -> None:
    assert host_network.resolvers(found(resolvers=told), named) == expected


NAMED = (["10.0.0.9", "10.0.0.8", "10.0.0.9"], ("10.0.0.8", "10.0.0.9"))


@table("dns, expected", the_nodes=(None, ("10.0.0.2",)), none=([], ()), named=NAMED)
def test_the_settings_name_others(dns: list[str] | None, expected: tuple[str, ...]) -> None:
    known = around({"dns": dns}, resolvers=("10.0.0.2", "10.0.0.2", "127.0.0.53"))

    assert known.resolvers == expected


@table(
    "name, pattern, expected",
    same=("docker0", "docker0", True),
    longer=("docker01", "docker0", False),
    beginning=("br-x", "br-*", True),
    shorter=("br", "br-*", False),
    brackets_are_themselves=("a[b]", "a[b]", True),
    question_mark_is_itself=("ab", "a?", False),
    star_inside_is_itself=("axb", "a*b", False),
    escaped_star=("e*", "e\\*", True),
    escaped_star_is_no_wildcard=("evil0", "e\\*", False),
)
def test_a_name_matches_as_it_does_in_nft(name: str, pattern: str, expected: bool) -> None:
    assert host_network.matches(name, (pattern,)) is expected


def refused(
    settings: dict[str, Any], *, dns: tuple[str, ...] = (), proxied: bool = False, **changes: Any
) -> list[Problem]:
    """Why these rules must not be loaded on a node that is like that."""
    node, wanted = found(**{**NODE, **changes}), egress(**settings)
    return lockouts(
        node, wanted, host_network.surroundings(node, wanted, dns), dns=dns, proxied=proxied
    )


def ssh(interface: str, client: str = "172.18.0.2", port: int = 22) -> Ssh:
    """The controller's way in."""
    return Ssh(client=client, port=port, interface=interface)


NODE = {
    "rules": f"{host_network.FROM_BRIDGE} goto to_node",  # for every bridge
    "bridges": ("docker0", "br-lan", APPS, "evil0"),
    "resolvers": ("10.0.0.2", "127.0.0.53", "junk", "fd00::53%eth0"),
}
INEXPRESSIBLE = {"bridges": ('q"q',), "uplinks": ('q"q',)}
PUBLISHED = {"published": ("53/udp", "8080/tcp"), "proxied": True}
NO_DNS: dict[str, Any] = {"dns": []}
BOTH = ["10.0.0.2", "fd00::53"]


@table(
    "settings, node, got",
    plain=({}, {"ssh": ssh("eth0", "198.51.100.9")}, []),
    a_bridge_as_way_out=({"interfaces": ["br-lan"]}, {"uplinks": ("br-lan",)}, ["br-lan"]),
    two_ways=({"interfaces": ["e*"]}, {"uplinks": ("e0", "e1", "wg0")}, ["e0", "e1"]),
    a_way_out_like_dockers=({}, {"uplinks": (APPS,)}, []),
    no_way_out=({"interfaces": ["eth*"]}, {"uplinks": ()}, []),
    excluded=({"interfaces": ["eth*"], "exclude": ["eth0"]}, {"ssh": ssh("eth0")}, []),
    inexpressible_way_out=({}, INEXPRESSIBLE, ['q"q']),
    inexpressible_port=({}, {"bridges": ('q"q',), "ports": {'q"q': "eth1"}}, ['q"q']),
    inexpressible_and_excluded=({"exclude": ["q*"]}, INEXPRESSIBLE, []),
    ssh_from_a_container=({}, {"ssh": ssh("docker0")}, ["docker0"]),
    ssh_is_let_in=({"node_ports": ["22"]}, {"ssh": ssh("docker0")}, []),
    ssh_elsewhere=({"node_ports": ["22"]}, {"ssh": ssh("docker0", port=222)}, ["docker0"]),
    ssh_to_an_open_node=({"block": ["private"]}, {"ssh": ssh("docker0")}, []),
    ssh_by_an_excluded_one=({"exclude": ["br-lan"]}, {"ssh": ssh("br-lan")}, []),
    ssh_by_another_bridge=({}, {"ssh": ssh("evil0")}, ["evil0"]),
    ssh_by_no_known_way=({}, {"ssh": ssh("", "fe80::1%eth0")}, []),
    asked_by_nobody=(NO_DNS, {}, BOTH),
    asked_by_another=({"dns": ["FD00::53"]}, {}, ["10.0.0.2"]),
    asked_and_nothing_blocked=({**NO_DNS, "block": []}, {}, []),
    asked_and_allowed=({**NO_DNS, **allowed("10.0.0.0/24")}, {}, ["fd00::53"]),
    udp_allowed=({**NO_DNS, **allowed("10.0.0.2", ports=["5-60/udp"])}, {}, ["fd00::53"]),
    tcp_allowed=({**NO_DNS, **allowed("10.0.0.2", ports=["53"])}, {}, BOTH),
    dockers_own_instead=(NO_DNS, {"dns": ("9.9.9.9",)}, []),
    dockers_own=(NO_DNS, {"dns": ("10.0.0.3",)}, ["10.0.0.3"]),
    published=({}, PUBLISHED, ["53/udp, 8080/tcp"]),
    published_and_let_in=({"node_ports": ["8000-9000"]}, PUBLISHED, ["53/udp"]),
    published_by_an_open_node=({"block": ["metadata"]}, PUBLISHED, []),
    published_without_a_proxy=({}, {**PUBLISHED, "proxied": False}, []),
    a_proxy_and_nothing_published=({}, {"proxied": True}, []),
)
def test_what_would_cut_too_much_is_refused(settings: Any, node: Any, got: list[str]) -> None:
    assert [problem.got for problem in refused(settings, **node)] == got


def test_every_reason_is_told_in_full() -> None:
    problems = refused(
        {"interfaces": ["eth*"], "dns": []},
        uplinks=("eth0", 'q"q'),
        bridges=('q"q',),
        ssh=ssh("eth1", port=2222),
        resolvers=("10.0.0.2",),
        published=("8080/tcp",),
        proxied=True,
    )

    assert "\n".join(map(str, problems)) == (
        "the interface connects this node to its network; filtering it like a container interface "
        "would cut published ports and other services of the node, got eth0; "
        "remove it from gvisor_egress['interfaces']\n"
        "a bridge that connects this node to its network would be filtered like a container "
        'interface: nft cannot express its name, got q"q; rename the bridge, for example to br0\n'
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
    metadata=("169.254.169.254", {}, True),
    metadata_left_out=("169.254.169.254", {"block": ["private"]}, False),
    private=("10.0.0.1", {}, True),
    private_through_nat64=("64:ff9b::a00:1", {}, True),
    internet=("9.9.9.9", {}, False),
    denied=("9.9.9.9", {"deny": ["9.0.0.0/8"]}, True),
    denied_by_nat64=("64:ff9b::909:909", {"deny": ["9.0.0.0/8"]}, True),
    another_family=("2001:db8::1", {"deny": ["0.0.0.0/0"]}, False),
)
def test_an_address_is_blocked_as_by_the_rules(address: str, settings: Any, expected: bool) -> None:
    assert is_blocked(address, egress(**settings)) is expected


@table(
    "port, ranges, expected",
    between=("53/udp", ["1-52/udp", "54/udp"], False),
    last=("65535/tcp", ["65535"], True),
    a_protocol_that_no_range_has=("80/sctp", ["80", "80/udp"], False),
)
def test_a_port_is_covered_by_its_range(port: str, ranges: list[str], expected: bool) -> None:
    assert covered(port, ranges) is expected
