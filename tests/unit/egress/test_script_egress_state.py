"""What ``node_state.sh`` tells of the firewall and of what is around it, on a test's machine."""

import hashlib
import os
import shlex
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.node import parse_node
from pyinfra_gvisor.parts.egress.state import DockerNetwork, EgressState, Ssh
from tests.table import table
from tests.unit.answers import compact
from tests.unit.fake_docker import breaks_off, container, daemon, network, port, routes, says
from tests.unit.node_script import Machine
from tests.unit.shells import run, stub

SSH = "SSH_CONNECTION=198.51.100.9 51234 203.0.113.7 2222"
ROUTE = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
{}\t00000000\t0102000A\t0003\t0\t0\t0\t00000000\t0\t0\t0
wg0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0
wg1\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0
{}\t00000000\t0102000A\t0003\t0\t0\t100\t00000000\t0\t0\t0
"""
ANY = "0" * 32
ROUTE_6 = f"{{}} {{}} {ANY} 00 fd{'0' * 29}1 00000400 00000001 00000000 00000003 {{}}\n"
SIX = ((ANY, "00", "lo"), (ANY, "00", "br-lan"), ("fe80" + "0" * 28, "40", "docker0"))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A node on which Docker does not run, with a systemctl that knows one answer."""
    machine = Machine(tmp_path)
    stub(machine.path, "systemctl", "echo active")
    return machine


def put(machine: Machine, path: str, text: str = "") -> Path:
    """A file below the machine's root."""
    file = machine.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def seen(machine: Machine) -> EgressState:
    """What it tells of the firewall."""
    return machine.node().part(EgressState)


def test_every_file_is_told_with_sum_mode_and_owner(machine: Machine) -> None:
    kept = machine.gvisor / "egress"
    rules = put(machine, "gvisor/egress/rules.nft", "# gr\u00fc\u00df $(id)\n")
    unit = put(machine, "units/pyinfra-gvisor-egress.service")
    put(machine, "gvisor/egress/load.sh").chmod(0o755)
    (machine.units / "sysinit.target.wants").mkdir()
    (machine.units / "sysinit.target.wants" / unit.name).symlink_to("nowhere")

    state = seen(machine)

    assert set(state.files) == {str(rules), f"{kept}/load.sh", str(unit)}
    assert state.files[str(rules)].sha256 == hashlib.sha256(rules.read_bytes()).hexdigest()
    assert state.files[f"{kept}/load.sh"].mode == "755"
    assert state.files[str(unit)].owner == f"{os.getuid()}:{os.getgid()}"
    assert state.rules == rules.read_text()
    assert (state.enabled, state.unit, state.pending) == (True, "active", False)


@table(
    "path, attribute, value",
    candidate=("gvisor/egress/candidate.nft", "pending", True),
    empty_rules=("gvisor/egress/rules.nft", "rules", ""),
    unit=("units/pyinfra-gvisor-egress.service", "unit", "active"),
)
def test_a_part_of_it_is_told_too(machine: Machine, path: str, attribute: str, value: Any) -> None:
    put(machine, path)

    state = seen(machine)

    assert (getattr(state, attribute), state.there, state.enabled) == (value, True, False)


NFT = """case "$*" in
    "-s -t list table inet pyinfra_gvisor") [ -e {0}/table ] && cat {0}/table ;;
    *) echo "unexpected: $*" >&2; exit 64 ;;
esac"""


def test_the_kernels_table_is_told_as_a_sum_of_what_nft_lists_and_a_link_without_files(
    machine: Machine,
) -> None:
    stub(machine.path, "nft", NFT.format(machine.root))
    (machine.units / "sysinit.target.wants").mkdir(parents=True)
    link = machine.units / "sysinit.target.wants" / "pyinfra-gvisor-egress.service"
    link.symlink_to("nowhere")
    linked = seen(machine)
    link.unlink()
    table = put(machine, "table", "table inet pyinfra_gvisor {\n}\n")
    put(machine, "run-egress/loaded", "one two\n")

    state = seen(machine)

    assert (linked.enabled, linked.there) == (True, True)
    assert (linked.nft, linked.now, linked.as_loaded) == (True, None, None)
    assert (state.as_loaded, state.loaded_from) == ("one", "two")
    assert state.now == hashlib.sha256(table.read_bytes()).hexdigest()
    assert (state.files, state.there) == ({}, True)


@table(
    "four, six, expected, gateways",
    one=(("eth0", "eth0"), (), ("eth0",), ("10.0.2.1",)),
    two=(("eth0", "wwan0"), (), ("eth0", "wwan0"), ("10.0.2.1",)),
    another_for_ipv6=(("eth0", "eth0"), SIX, ("eth0", "br-lan"), ("10.0.2.1", "fd00::1")),
    ipv6_only=(None, [(ANY, "00", "eth0")], ("eth0",), ("fd00::1",)),
    none=(None, (), (), ()),
)
def test_default_routes_are_told(
    machine: Machine, four: Any, six: Any, expected: Any, gateways: Any
) -> None:
    if four:
        put(machine, "proc-net/route", ROUTE.format(*four))
    put(machine, "proc-net/ipv6_route", "".join(ROUTE_6.format(*route) for route in six))

    assert (seen(machine).uplinks, seen(machine).gateways) == (expected, gateways)


@table(
    "port, below, expected",
    hardware=("eth0", "device", {"br0": "eth0"}),
    vlan=("eth0.7", "lower_eth0", {"br0": "eth0.7"}),
    a_containers=("veth1", "tun_flags", {}),
)
def test_a_way_out_is_told(machine: Machine, port: str, below: str, expected: Any) -> None:
    for path in ("br0/bridge", f"br0/brif/{port}", "br0/brif/veth0", f"{port}/{below}", "veth0"):
        (machine.root / "interfaces" / path).mkdir(parents=True, exist_ok=True)

    assert (seen(machine).bridges, seen(machine).ports) == (("br0",), expected)


@pytest.mark.parametrize("name", ['q"q', "a\\b", "e*", "$(id)", "-n", "%s"])
def test_a_bridge_is_told_whatever_its_name_and_others_are_not(machine: Machine, name: str) -> None:
    for path in (f"{name}/bridge", "evil0/bridge", "eth0"):
        (machine.root / "interfaces" / path).mkdir(parents=True)

    assert sorted(seen(machine).bridges) == sorted((name, "evil0"))


STUB, FIRST = "nameserver 127.0.0.53\n", "nameserver 10.0.0.2\n"


@table(
    "text, resolved, expected",
    two=(f"{FIRST}nameserver fd00::53\n", None, ("10.0.0.2", "fd00::53")),
    no_newline_at_the_end=(FIRST.strip(), None, ("10.0.0.2",)),
    a_comment=("nameserver\t 10.0.0.2 # comment\noptions a\n", None, ("10.0.0.2",)),
    comments_and_none_named=(f"#{FIRST}; {FIRST}nameserver\n", None, ("",)),
    scope=("nameserver fe80::1%eth0\n", None, ("fe80::1",)),
    behind_the_stub=(STUB, FIRST, ("10.0.0.2",)),
    without_newlines=(STUB.strip(), FIRST.strip(), ("10.0.0.2",)),
    a_stub_and_nothing_behind=(STUB, None, ("127.0.0.53",)),
    a_stub_and_another=(f"{STUB}nameserver ::2\n", FIRST, ("127.0.0.53", "::2")),
    empty=("", None, ()),
    no_file=(None, FIRST, ()),
    junk=("nameserver $(id) `id` *\n", None, ("$(id)",)),
)
def test_resolvers_are_told(machine: Machine, text: Any, resolved: Any, expected: Any) -> None:
    for path, content in (("resolv.conf", text), ("resolved/resolv.conf", resolved)):
        if content is not None:
            put(machine, path, content)

    assert seen(machine).resolvers == expected


def process(machine: Machine, number: int, parent: int, *environment: str) -> None:
    """A process that called the one before it."""
    put(machine, f"proc/{number}/environ", "".join(f"{item}\0" for item in environment))
    put(machine, f"proc/{number}/stat", f"{number} (a) b) ) S {parent} 1 1 0\n")


def told_by(machine: Machine, parent: int, **environment: str) -> Ssh | None:
    """The way in that the script tells when this is its parent process."""
    lines = [f"{key}={shlex.quote(value)}" for key, value in environment.items()]
    text = machine.script().replace("process=$PPID", f"process={parent}")
    output = run("\n".join([*lines, text]), path=machine.path).stdout
    return parse_node(output.splitlines()).part(EgressState).ssh


@table(
    "answer, interface",
    routed=("198.51.100.9 via 203.0.113.1 dev eth0 src 203.0.113.7", "eth0"),
    its_own=("local 198.51.100.9 dev lo table local src 198.51.100.9", "lo"),
    not_routed=("unreachable 198.51.100.9", ""),
)
def test_the_controllers_way_is_told_if_a_program_for_routes_knows_it(
    machine: Machine, answer: str, interface: str
) -> None:
    without = told_by(machine, 1, SSH_CONNECTION="fe80::9%eth0 51234 fe80::7%eth0 22")
    stub(machine.path, "ip", f'[ "$*" = "-o route get 198.51.100.9" ] && echo "{answer}"')

    state = told_by(machine, 1, SSH_CONNECTION=SSH.partition("=")[2])

    assert state == Ssh(client="198.51.100.9", port=2222, interface=interface)
    assert without == Ssh(client="fe80::9%eth0", port=22, interface="")


@table("depth, is_found", sudo=(1, True), four=(4, True), too_far_up=(9, False))
def test_behind_sudo_the_way_is_found(machine: Machine, depth: int, is_found: bool) -> None:
    for number in range(100, 100 + depth):
        process(machine, number, number + 1, "HOME=/root", "NOT_SSH_CONNECTION=1")
    process(machine, 100 + depth, 1, "HOME=/root", SSH, "PATH=/bin")
    stub(machine.path, "ip", "exit 1")

    expected = Ssh(client="198.51.100.9", port=2222) if is_found else None
    assert told_by(machine, 100) == expected


@table("parents", no_parent=(100, 0), gone_meanwhile=(100, 99))
def test_who_did_not_come_by_ssh_tells_no_way(machine: Machine, parents: Any) -> None:
    process(machine, *parents, "HOME=/root")

    assert told_by(machine, 100) is None


@table(
    "path, text, expected",
    ufw=("ufw/ufw.conf", "LOGLEVEL=low\nENABLED=yes\n", ("ufw",)),
    ufw_off=("ufw/ufw.conf", "ENABLED=no\n#ENABLED=yes\n", ()),
    firewalld=("firewalld.pid", "1", ("firewalld",)),
    firewalld_there=("firewalld/firewalld.pid", "1", ("firewalld",)),
)
def test_other_managers_are_told(machine: Machine, path: str, text: str, expected: Any) -> None:
    put(machine, path, text)

    assert seen(machine).managers == expected


def test_services_of_debians_that_load_rules_are_told_and_without_any_nothing(
    machine: Machine,
) -> None:
    assert seen(machine) == EgressState()

    for wants, name in (("sysinit", "nftables"), ("multi-user", "netfilter-persistent")):
        (machine.units / f"{wants}.target.wants").mkdir(parents=True)
        (machine.units / f"{wants}.target.wants" / f"{name}.service").symlink_to("nowhere")

    assert seen(machine).managers == ("nftables.service", "netfilter-persistent")


UNNAMED = f"br-{network('shop')['Id'][:12]}"
NASTY = '"},{"Name":"x","Driver":"bridge","Id":"y"} end of node state \u2028'


def with_docker(machine: Machine, answers: dict[str, Any]) -> EgressState:
    """What is told with a daemon that gives these answers."""
    with daemon(machine.socket, answers):
        return machine.node().part(EgressState)


def bridged(name: str, **options: str) -> dict[str, Any]:
    """A network whose bridge has this name."""
    return network("shop", Options={**options, "com.docker.network.bridge.name": name})


@table(
    "told, expected",
    unnamed=(network("shop"), UNNAMED),
    no_options=(network("shop", Options=None), UNNAMED),
    named_beside_odd_options=(bridged("shop0", x=NASTY), "shop0"),
    host=(network("host", Driver="host"), ""),
    none=(network("none", Driver="null"), ""),
    macvlan=(network("lan", Driver="macvlan", Options={"parent": "eth0"}), ""),
    odd_labels=(network("shop", Labels={"a": NASTY}, Containers={"b": NASTY}), UNNAMED),
    quote=(bridged('a"b'), 'a"b'),
    backslash=(bridged("a\\b"), "a\\b"),
    backslash_of_its_own=(bridged("a\\u003cb"), "a\\u003cb"),
    signs=(bridged("<e*>&"), "<e*>&"),
    no_ascii=(bridged("caf\u00e9"), "caf??"),
    space=(bridged("a b"), "a?b"),
)
def test_a_network_is_told_with_its_bridge(machine: Machine, told: Any, expected: str) -> None:
    state = with_docker(machine, routes([], networks=[network("first"), told, network("last")]))

    own = DockerNetwork(name=told["Name"], driver=told["Driver"], bridge=expected)
    assert state.networks[1] == own
    assert [item.name for item in state.networks] == ["first", told["Name"], "last"]


@table(
    "answer, error",
    empty=(says("[]\n"), False),
    not_found=(says("{}", "404 Not Found"), False),
    null=(says("null\n"), True),
    fails=(says("{}", "500 Internal Server Error"), True),
    cut=(breaks_off(compact([network("a"), network("b")]), 0.7), True),
)
def test_networks_are_none_or_not_known(machine: Machine, answer: Any, error: bool) -> None:
    with daemon(machine.socket, {**routes([]), "/networks": answer}):
        found = machine.node()

    assert found.part(EgressState).networks == ()
    assert (found.docker_error is not None) is error


@table(
    "ports, expected",
    none=([], ()),
    twice=([port(8080), port(8080, address="192.0.2.7")], ("8080/tcp",)),
    others=([port(53, "udp"), port(36412, "sctp")], ("36412/sctp", "53/udp")),
    for_the_node=([port(8, address=own) for own in ("127.0.0.1", "::1", "127.0.0.2")], ()),
    one_address=([port(80, address="203.0.113.7")], ("80/tcp",)),
    exposed_only=([{"PrivatePort": 80, "Type": "tcp"}], ()),
)
def test_ports_that_others_reach_are_told(machine: Machine, ports: Any, expected: Any) -> None:
    lie = '{"IP":"::","PrivatePort":1,"PublicPort":666,"Type":"tcp"}'
    liar = container(2, 1, labels={"a": lie, lie: "b"})
    documents = [container(1, 1, others={"Ports": ports}), liar]

    assert with_docker(machine, routes(documents)).published == expected
