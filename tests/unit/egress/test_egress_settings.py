"""``gvisor_egress``: what it takes, what it opens, and what would cut too much."""

import re
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.parts.egress import host_network
from pyinfra_gvisor.parts.egress.dockerd import Dockerd, peer
from pyinfra_gvisor.parts.egress.lockout import covered, is_blocked, lockouts
from pyinfra_gvisor.parts.egress.rules import rules_text
from pyinfra_gvisor.parts.egress.settings import METADATA, PRIVATE, Egress, network, translated
from pyinfra_gvisor.parts.egress.state import DockerNetwork, Log, Ssh
from tests.table import table
from tests.unit.egress.egress_states import DOCKERD, NETWORKS, allowed, egress, found, problem
from tests.unit.settings.loaded_settings import good

REASON = "asked for by the test"
DOCKERD_OF_V1 = replace(DOCKERD, is_told_apart=False)
"""On a node with version 1 of control groups."""


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
    true=(True, "must be a table"),
    mistyped_key=({"blok": []}, "['blok'] unknown key, got []"),
    a_number_as_a_key=({1: 2}, "['1'] keys should be strings, got 1"),
    text=({"block": "metadata"}, "['block'] must be a list"),
    block=({"block": ["lan"]}, "['block']['0'] must be 'metadata'"),
    to_a_name_of_no_host=(allowed("db internal"), f"['allow']['0']['to'] {NO_ADDRESS}"),
    host_bits=(allowed("10.0.0.5/24"), f"['allow']['0']['to'] {NO_ADDRESS}"),
    number=({"allow": [{"to": 1}]}, "['allow']['0']['to'] must be"),
    to_missing=({"allow": [{}]}, "['allow']['0']['to'] is missing"),
    allow_text=({"allow": ["10.0.0.5"]}, "['allow']['0'] must be"),
    allow_key=(allowed("::1", port=["1"]), "['allow']['0']['port'] unknown"),
    port_0=(allowed("::1", ports=["0"]), f"['allow']['0']['ports'] {NO_PORT}"),
    ports_text=(allowed("::1", ports="5"), "['allow']['0']['ports'] must be"),
    deny_mask=({"deny": ["10.0.0.0/33"]}, f"['deny'] {NO_ADDRESS}"),
    deny=({"deny": "10.0.0.5"}, "['deny'] must be a list"),
    dns_network=({"dns": ["10.0.0.0/8"]}, "['dns'] a network instead of"),
    dns_name=({"dns": ["one.one"]}, f"['dns'] {NO_ADDRESS}"),
    dns_text=({"dns": "10.0.0.2"}, "['dns'] must be a list"),
    smtp_0=({"smtp_ports": [0]}, "['smtp_ports']['0'] must be"),
    smtp_true=({"smtp_ports": [True]}, "['smtp_ports']['0'] must be"),
    smtp_65536=({"smtp_ports": [65536]}, "['smtp_ports']['0'] must be"),
    rate_0=({"new_connections_per_s": 0}, "['new_connections_per_s'] must be"),
    rate_true=({"new_connections_per_s": True}, "['new_connections_per_s']"),
    log_half=({"log_per_minute": 1.5}, "['log_per_minute'] must be"),
    confirm_4=({"confirm_s": 4}, "['confirm_s'] must be greater"),
    confirm_none=({"confirm_s": None}, "['confirm_s'] must be"),
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


def test_an_interface_is_filtered_or_left_alone_and_never_the_nodes_loopback() -> None:
    both = {"interfaces": ["cni0", "virbr*"], "exclude": ["virbr*"]}

    assert problem(both) == (
        "the interface is in interfaces and in exclude, got virbr*; remove it from one of the two"
    )
    for name in ("lo", "lo*", "l*"):
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

    assert "would allow a metadata service to be reached (" in said
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


APPS = "br-0123456789ab"


def around(settings: dict[str, Any] | None = None, **changes: Any) -> host_network.Surroundings:
    """What the rules know of a node with these settings."""
    return host_network.surroundings(found(**changes), egress(**(settings or {})), DOCKERD)


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

    known = host_network.surroundings(node, egress(), DOCKERD)

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

    assert (known.interfaces, known.excluded, known.foreign) == expected
    assert known.resolvers == known.own_resolvers == ("192.0.2.53",)


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


def refused(settings: dict[str, Any], dockerd: Dockerd = DOCKERD, **changes: Any) -> list[Problem]:
    """Why these rules must not be loaded on a node that is like that."""
    node, wanted = found(**{**NODE, **changes}), egress(**settings)
    return lockouts(node, wanted, host_network.surroundings(node, wanted, dockerd))


def ssh(interface: str, client: str = "172.18.0.2", port: int = 22) -> Ssh:
    """The controller's way in."""
    return Ssh(client=client, port=port, interface=interface)


NODE = {
    "rules": f"{host_network.FROM_BRIDGE} goto to_node",  # for every bridge
    "bridges": ("docker0", "br-lan", APPS, "evil0"),
    "resolvers": ("10.0.0.2", "127.0.0.53", "junk", "fd00::53%eth0"),
}
INEXPRESSIBLE = {"bridges": ('q"q',), "uplinks": ('q"q',)}
PUBLISHED = {"published": ("53/udp", "8080/tcp")}
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
    dockers_own_instead=(NO_DNS, {"dockerd": Dockerd(dns=("9.9.9.9",))}, []),
    dockers_own=(NO_DNS, {"dockerd": Dockerd(dns=("10.0.0.3",))}, ["10.0.0.3"]),
    published=({}, PUBLISHED, ["53/udp, 8080/tcp"]),
    published_and_let_in=({"node_ports": ["8000-9000"]}, PUBLISHED, ["53/udp"]),
    published_by_an_open_node=({"block": ["metadata"]}, PUBLISHED, []),
    published_without_a_proxy=({}, {**PUBLISHED, "dockerd": replace(DOCKERD, proxied=False)}, []),
)
def test_what_would_cut_too_much_is_refused(settings: Any, node: Any, got: list[str]) -> None:
    assert [problem.got for problem in refused(settings, **node)] == got


FLUENTD = Log(container="shop", driver="fluentd", at="127.0.0.1")
SYSLOG = Log(container="shop", driver="syslog")
NAMED = Log(container="shop", driver="syslog", address="udp://logs.test:514", at="10.0.0.9")
OWN = Log(
    container="shop", driver="syslog", address="tcp://192.0.2.10:514", at="192.0.2.10", is_own=True
)
AWS = Log(container="shop", driver="awslogs")
LAN_LOG = FLUENTD.model_copy(update={"address": "tcp://10.0.0.9:24224", "at": ""})
OPENED = [{"to": to} for to in ("localhost", "logs.test", "127.0.0.1", "10.0.0.9", "192.0.2.10")]
METADATA_ALLOWED = {"to": "169.254.169.254", "ports": ["80"], "reason": REASON}


@table(
    "log, settings, got",
    default=(FLUENTD, {}, ["localhost 24224/tcp"]),
    default_allowed=(FLUENTD, {"docker_allow": [{"to": "localhost", "ports": ["24224"]}]}, []),
    loopback_allowed=(FLUENTD, {"docker_allow": [{"to": "127.0.0.1"}]}, []),
    another_port=(
        FLUENTD,
        {"docker_allow": [{"to": "127.0.0.1", "ports": ["1"]}]},
        ["localhost 24224/tcp"],
    ),
    node_is_open=(FLUENTD, {"block": ["private"]}, []),
    private=(LAN_LOG, {}, ["10.0.0.9/32 24224/tcp"]),
    what_containers_may=(LAN_LOG, allowed("10.0.0.0/24"), []),
    not_filtered=(LAN_LOG, {"docker": False}, []),
    a_socket=(SYSLOG.model_copy(update={"address": "unixgram:///dev/log"}), {}, []),
    nothing_said=(SYSLOG, {}, []),
    udp=(SYSLOG.model_copy(update={"address": "udp://10.0.0.9:514"}), {}, ["10.0.0.9/32 514/udp"]),
    a_name=(NAMED, {}, ["logs.test 514/udp"]),
    a_name_that_is_allowed=(NAMED, {"docker_allow": [{"to": "logs.test"}]}, []),
    own_address=(OWN, {}, ["192.0.2.10/32 514/tcp"]),
    own_published=(OWN.model_copy(update={"address": "tcp://192.0.2.10:8080"}), {}, []),
    a_name_of_nobody=(NAMED.model_copy(update={"at": ""}), {}, []),
    public=(SYSLOG.model_copy(update={"address": "tcp+tls://203.0.113.9:6514"}), {}, []),
    asks_metadata=(AWS, {}, ["169.254.169.254 80/tcp"]),
    may_ask_metadata=(AWS, {"docker_allow": [METADATA_ALLOWED]}, []),
)
def test_rules_that_would_cut_a_log_server_are_refused(
    log: Log, settings: Any, got: list[str]
) -> None:
    node = {"logs": (log,), "bridges": ("docker0",), "resolvers": (), "published": ("8080/tcp",)}
    settings = {"node_ports": ["8080"], **settings}

    assert [problem.got for problem in refused(settings, **node)] == got
    assert refused(settings, DOCKERD_OF_V1, **node) == []
    text = rules_text(egress(), around())
    assert refused(settings, **{**node, "rules": text}) == [], "they cut it already"
    shut = [{"to": to, "ports": ["9"]} for to in ("localhost", "logs.test", "10.0.0.9")]
    text = rules_text(egress(allow=shut, apps=[{"project": "x", "allow": OPENED}]), around())
    assert refused(settings, **{**node, "rules": text}) == [], "so they do"
    opened: list[dict[str, Any]] = [*OPENED]
    opened += [{"to": "169.254.169.254", "reason": REASON}]
    text = rules_text(egress(docker_allow=opened), around())
    assert [problem.got for problem in refused(settings, **{**node, "rules": text})] == got
    reports = rules_text(egress(mode="report"), around())
    assert [problem.got for problem in refused(settings, **{**node, "rules": reports})] == got


@table(
    "text, expected",
    url=("https://mirror.test", ("mirror.test", ("443",))),
    port=("http://10.0.0.7:5000", ("10.0.0.7/32", ("5000",))),
    password=("http://me:word@proxy.test:3128/", ("proxy.test", ("3128",))),
    host=("registry.test", ("registry.test", ("80", "443"))),
    host_and_port=("10.0.0.7:5000", ("10.0.0.7/32", ("5000",))),
    v6=("[fd00::7]:5000", ("fd00::7/128", ("5000",))),
    udp=("udp://LOGS.test:12201", ("logs.test", ("12201/udp",))),
    a_socket=("unix:///run/fluentd.sock", None),
    metadata_needs_a_reason=("http://169.254.169.254:80", None),
    no_port=("http://10.0.0.7:port", None),
    empty=("", None),
)
def test_what_dockerd_is_told_to_ask_is_read_without_its_password(
    text: str, expected: tuple[str, tuple[str, ...]] | None
) -> None:
    assert [(item.to, item.ports) for item in peer(text, ("80", "443"))] == [
        item for item in [expected] if item
    ]


def test_every_reason_is_told_in_full() -> None:
    problems = refused(
        {"interfaces": ["eth*"], "dns": []},
        uplinks=("eth0", 'q"q'),
        bridges=('q"q',),
        ssh=ssh("eth1", port=2222),
        resolvers=("10.0.0.2",),
        published=("8080/tcp",),
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
def test_an_address_is_blocked_and_a_port_covered_as_by_the_rules(
    address: str, settings: Any, expected: bool
) -> None:
    assert is_blocked(address, egress(**settings)) is expected
    assert covered("65535/tcp", ["65535"])
    assert not covered("53/udp", ["1-52/udp", "54/udp"])
    assert not covered("80/sctp", ["80", "80/udp"]), "a protocol that no range has"
