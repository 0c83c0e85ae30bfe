"""Published ports: what serves them, whether they answer, and that they are held open."""

import os
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pyinfra_gvisor.base.scripts import program, script
from pyinfra_gvisor.node.reach import Reach
from tests.table import table
from tests.unit.answers import compact
from tests.unit.fake_docker import container, daemon, listed, network, port, routes, says
from tests.unit.node_script import Machine
from tests.unit.shells import run, stub, toolbox

STOPPED = (
    "/containers/json?all=1&limit=64"
    "&filters=%7B%22status%22%3A%5B%22created%22%2C%22exited%22%2C%22restarting%22%5D%7D"
)
GLOBAL = "20010db8000000000000000000000005 02 40 00 80     eth0\n"
BRIDGE6 = "fd000000000000000000000000000001 03 40 00 80 br-shop\n"
LINK = "fe800000000000000000000000000001 02 40 20 80     eth0\n"
OURS = "fd2e6ab49d1c00000000000000000053 01 80 00 80       lo\n"
LO = "00000000000000000000000000000001 01 80 10 80       lo\n"


@contextmanager
def proxy(*words: str) -> Iterator[None]:
    """A process that looks like docker-proxy with these arguments; a shell that reads on."""
    command = ["docker-proxy", "-s", "--", *words]
    with subprocess.Popen(command, executable="/bin/sh", stdin=subprocess.PIPE) as running:
        try:
            yield
        finally:
            running.kill()


def words(host: str, port: int, address: str, protocol: str = "tcp") -> list[str]:
    """Docker's arguments for it."""
    return [
        *("-proto", protocol, "-host-ip", host, "-host-port", str(port)),
        *("-container-ip", address, "-container-port", "80"),
    ]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A node whose dockerd is this very process."""
    machine = Machine(tmp_path)
    (machine.root / "docker.pid").write_text(str(os.getpid()))
    (machine.root / "proc-net").mkdir()
    return machine


def seen(machine: Machine, proxies: Sequence[Sequence[str]], addresses: str = "") -> Reach:
    """What is told with these processes, addresses, and a container that publishes a port."""
    (machine.root / "proc-net" / "if_inet6").write_text(addresses)
    given = {"bridge": {"IPAddress": "172.18.0.2", "GlobalIPv6Address": ""}}
    shop = container(1, os.getpid(), name="shop", others={"Ports": [port(8080)]})
    shop["NetworkSettings"] = {"Networks": given}
    with ExitStack() as stack:
        for item in proxies:
            stack.enter_context(proxy(*item))
        networks = [network("shop", Options={"com.docker.network.bridge.name": "br-shop"})]
        stack.enter_context(daemon(machine.socket, routes([shop], networks=networks)))
        return machine.node().reach


def test_what_docker_proxy_serves_is_told_with_the_container(machine: Machine) -> None:
    found = seen(
        machine,
        [
            words("0.0.0.0", 8080, "172.18.0.2"),  # noqa: S104
            words("::", 8080, "172.18.0.2"),
            [*words("::", 53, "172.18.0.9", "udp"), "-use-listen-fd"],
        ],
    )

    assert [str(item) for item in found.proxied] == [
        "53/udp over IPv6 (172.18.0.9)",
        "8080/tcp over IPv4 (shop)",
        "8080/tcp over IPv6 (shop)",
    ]


def test_containers_of_each_bridge_network_are_told_with_their_addresses(machine: Machine) -> None:
    apart = {"com.docker.network.bridge.enable_icc": "false"}
    networks = [
        network("front"),
        network("apart", Options=apart),
        network("inner", Internal=True),
        network("host", Driver="host"),
    ]
    places = {
        "front": {"IPAddress": "172.18.0.2", "GlobalIPv6Address": "fd00:1::2"},
        "apart": {"IPAddress": "172.19.0.2", "GlobalIPv6Address": ""},
        "inner": {"IPAddress": "172.20.0.2", "GlobalIPv6Address": ""},
        "host": {"IPAddress": "", "GlobalIPv6Address": ""},
    }
    shop = container(1, os.getpid(), name="shop", others={"Ports": [port(8080)]})
    shop["NetworkSettings"] = {"Networks": places}
    job = container(2, 0, name="job", others={"Ports": []})
    job["NetworkSettings"] = {"Networks": {"front": {"IPAddress": ""}}}
    answers = routes([shop], networks=networks)
    answers[f"/containers/{job['Id']}/json"] = says(compact(job))
    answers[STOPPED] = says(compact([listed(job)]))

    with proxy(*words("::", 8080, "172.18.0.2")), daemon(machine.socket, answers):
        found = machine.node().reach

    assert [tuple(item.model_dump().values()) for item in found.joined] == [
        ("shop", "", "172.19.0.2", ""),
        ("shop", "front", "172.18.0.2", "fd00:1::2"),
        ("job", "front", "", ""),
    ]


@table(
    "odd, dockerds",
    half=(["-proto", "tcp", "-host-ip", "::"], True),
    blanks=(words("a b", 1, "172.18.0.2"), True),
    no_address=(words("zzz", 1, "172.18.0.2"), True),
    a_line_of_its_own=(words("::\nreach outer6 x", 1, "172.18.0.2"), True),
    of_somebody_else=(words("::", 8080, "172.18.0.2"), False),
)
def test_a_process_with_other_arguments_or_of_somebody_else_is_passed_over(
    machine: Machine, odd: list[str], dockerds: bool
) -> None:
    (machine.root / "docker.pid").write_text(str(os.getpid() if dockerds else 1))

    assert seen(machine, [odd]) == Reach()


@table(
    "addresses, outer6",
    link_local=(LO + LINK, ()),
    of_our_resolver=(OURS, ()),
    on_a_bridge_of_dockers=(LO + BRIDGE6, ()),
    global_one=(LO + GLOBAL + LINK + GLOBAL, ("eth0",)),
)
def test_ipv6_addresses_that_others_may_reach_are_told_by_interface(
    machine: Machine, addresses: str, outer6: tuple[str, ...]
) -> None:
    assert seen(machine, [], addresses).outer6 == outer6


def test_what_stopped_containers_published_is_told_where_there_is_ipv6(machine: Machine) -> None:
    (machine.root / "proc-net" / "if_inet6").write_text(GLOBAL)
    everywhere = {"80/tcp": [{"HostIp": "", "HostPort": "8080"}], "9/udp": None}
    one = {"53/udp": [{"HostIp": "2001:db8::5", "HostPort": "53"}]}
    both = {"81/tcp": [{"HostIp": "", "HostPort": "8081"}]}
    stopped = [
        container(5, 0, name="both", host={"NetworkMode": "six", "PortBindings": both}),
        container(2, 0, name="web", host={"NetworkMode": "shop", "PortBindings": everywhere}),
        container(3, 0, name="dns", host={"NetworkMode": "six", "PortBindings": one}),
        container(4, 0, name="none", host={"NetworkMode": "default", "PortBindings": {}}),
    ]
    answers = routes([], networks=[network("shop"), network("six", EnableIPv6=True)])
    answers |= {f"/containers/{item['Id']}/json": says(compact(item)) for item in stopped}
    gone, broken = ({"Id": f"{number:064x}"} for number in (8, 9))
    answers[f"/containers/{broken['Id']}/json"] = says("its layer is nil", "500 Server Error")
    answers[STOPPED] = says(compact([gone, broken, *({"Id": item["Id"]} for item in stopped)]))

    with daemon(machine.socket, answers):
        found = machine.node().reach

    assert [(str(item), item.address) for item in found.proxied] == [
        ("53/udp on 2001:db8::5 (dns)", "::"),
        ("8080/tcp over IPv4 (web)", "0.0.0.0"),  # noqa: S104
        ("8080/tcp over IPv6 (web)", "0.0.0.0"),  # noqa: S104
        ("8081/tcp over IPv4 (both)", "0.0.0.0"),  # noqa: S104
        ("8081/tcp over IPv6 (both)", "::"),
    ]
    assert not any(item.running for item in found.proxied)


SHOP = "shop 812 tcp 192.0.2.7 8080 172.18.0.2 80"
DNS = "dns 813 udp 2001:db8::5 53 172.18.0.3 53"
INSIDE = "8080/tcp answered container job by the node's address before the change, and does not now"
TCP, UDP, WEB = "tcp 4 8080\n", "udp 6 53\n", "8080/tcp on 192.0.2.7"
CLOSED, CUT_OFF = "closed tcp 192.0.2.7 8080\n", {"tried_inside": ""}
UP, UP_TOO = "shop 812 0 /shop\n", "dns 813 0 /dns\n"
_STUBS = """
say() { printf '%s\\n' "$*"; }
running() { cat "$work/running"; }
"""
_HOLDS = """
served() { cat "$work/served"; }
try() { cat "$work/tried"; }
try_inside() { cat "$work/tried.inside"; }
answers_itself() { [ -s "$work/itself" ]; }
if reach_holds; then echo holds; exit; fi
lost=${unreached#published port }
echo "${lost% worked before the change, and does not work now}"
"""


def reach(work: Path, does: str, given_up: str = "", **files: str) -> str:
    """What ``reach.sh`` says with these files in its working directory."""
    for name, text in files.items():
        (work / name.replace("_", ".")).write_text(text)
    text = script(
        "daemon_json/reach",
        work=str(work),
        reach_program="exit 1",
        given_up=given_up,
        proxy_ends="no",
    )
    text = text.replace("/proc/[0-9]*", f"{work}/proc/[0-9]*")
    text = text.replace("/run/docker.pid", f"{work}/docker.pid")
    return run(f"{_STUBS}\n{text}\n{does}").stdout.strip()


@table(
    "changed, said",
    all_as_before=({}, "holds"),
    closed=({"tried": CLOSED}, WEB),
    no_answer_of_it=({"tried": ""}, WEB),
    closed_by_the_container_itself=({"tried": CLOSED, "itself": ""}, "holds"),
    nobody_serves_it=({"served": TCP}, "53/udp on 2001:db8::5"),
    open_although_nobody_serves_it=({"served": UDP}, WEB),
    its_container_was_stopped=({"served": TCP, "running": UP}, "holds"),
    its_container_was_restarted=({"served": TCP, "running": f"{UP}dns 9 0 /dns\n"}, "holds"),
    given_up=({"served": TCP, "given_up": "udp 6 53"}, "holds"),
    another_one_given_up=({"served": UDP, "given_up": "udp 6 53"}, WEB),
    cut_off_from_a_container=(CUT_OFF, INSIDE),
    silent=({"tried_inside": "silent tcp 192.0.2.7 8080 job\n"}, INSIDE),
    given_up_for_this_container=({**CUT_OFF, "given_up": "tcp 4 8080 job"}, "holds"),
    given_up_for_another_container=({**CUT_OFF, "given_up": "tcp 4 8080 next"}, INSIDE),
    closed_by_itself_inside=({"tried_inside": "", "itself": ""}, "holds"),
    not_open_before=({"tried_inside": "", "inside_before": ""}, "holds"),
    the_asking_container_was_stopped=({**CUT_OFF, "running": f"{UP}{UP_TOO}"}, "holds"),
)
def test_a_port_is_lost_if_nobody_serves_it_or_it_is_closed(
    tmp_path: Path, changed: dict[str, str], said: str
) -> None:
    files = {
        "reach_all": f"{SHOP}\n{DNS}\n",
        "reach_before": "open tcp 192.0.2.7 8080\nsilent udp 2001:db8::5 53\n",
        "served_before": f"{TCP}{UDP}",
        "running": f"{UP}{UP_TOO}job 814 0 /job\n",
        "served": f"{TCP}{UDP}",
        "tried": "open tcp 192.0.2.7 8080\n",
        "inside_clients": "814 job job\n",
        "inside_before": "tcp 192.0.2.7 8080 job\n",
        "tried_inside": "open tcp 192.0.2.7 8080 job\n",
        "itself": "yes",
    }

    assert reach(tmp_path, _HOLDS, **{**files, **changed}) == said


@table(
    "comm, stat, seen",
    dockerds=("docker-proxy", "77 (docker-proxy) S 812 77 77 0", "udp 6 53"),
    of_somebody_else=("docker-proxy", "77 (docker-proxy) S 1 77 77 0", ""),
    forged=("docker-proxy", "77 (a) S 812 (b) S 1 77 77 0", ""),
    another_program=("sleep", "77 (sleep) S 812 77 77 0", ""),
)
def test_what_docker_proxy_has_is_served(tmp_path: Path, comm: str, stat: str, seen: str) -> None:
    process = tmp_path / "proc" / "77"
    process.mkdir(parents=True)
    (tmp_path / "docker.pid").write_text("812")
    (process / "comm").write_text(f"{comm}\n")
    (process / "stat").write_text(f"{stat}\n")
    given = ["/usr/bin/docker-proxy", *words("::", 53, "172.18.0.3", "udp"), "-use-listen-fd"]
    (process / "cmdline").write_text("\0".join([*given, ""]))

    assert reach(tmp_path, "PATH=/usr/bin:/bin; served") == seen


@table(
    "addresses, over6",
    no_ipv6=("", ""),
    our_own_only=("7: lo    inet6 fd2e:6ab4:9d1c::53/128 scope global", ""),
    ipv6=("2: eth0    inet6 2001:db8::5/64 scope global", " tcp 2001:db8::5 8080"),
)
def test_a_port_on_all_addresses_is_tried_outside(
    tmp_path: Path, addresses: str, over6: str
) -> None:
    bound = ("0.0.0.0", "::", "127.0.0.1", "::1")  # noqa: S104
    lines = "".join(f"shop 812 80/tcp {host} 8080 172.18.0.2\\n" for host in bound)
    docker = f"""
    docker_quick() {{ case "$1" in ps) echo shop ;; *) printf '{lines}' ;; esac }}
    ip() {{ case "$*" in
        *route*) ;;
        -4*) echo '2: eth0    inet 192.0.2.7/24 scope global' ;;
        *) echo '{addresses}' ;;
    esac }}
    """

    said = reach(tmp_path, f"{docker}\npublished | cut -d ' ' -f 3-5 | tr '\\n' ' '")

    assert said == f"tcp 192.0.2.7 8080{over6}"


def listening(kind: socket.SocketKind, answer: bytes | None) -> tuple[socket.socket, int]:
    """A server on loopback: says ``answer`` and ends a connection, or says nothing if None."""
    served = socket.socket(socket.AF_INET, kind)
    served.bind(("127.0.0.1", 0))
    if kind is socket.SOCK_STREAM:
        served.listen()

    def serve() -> None:
        if kind is socket.SOCK_DGRAM:
            _, who = served.recvfrom(10)
            if answer is not None:
                served.sendto(answer, who)
            return
        connection, _ = served.accept()
        if answer is not None:
            connection.sendall(answer)
            connection.close()
        else:
            connection.recv(1)  # until the other side ends it

    threading.Thread(target=serve, daemon=True).start()
    return served, served.getsockname()[1]


@table(
    "kind, answer, state",
    waits_for_a_request=(socket.SOCK_STREAM, None, "open"),
    speaks_first=(socket.SOCK_STREAM, b"220 ready\n", "open"),
    ends_at_once_as_docker_proxy_does=(socket.SOCK_STREAM, b"", "closed"),
    udp_that_answers=(socket.SOCK_DGRAM, b"hello", "open"),
    udp_that_answers_with_nothing=(socket.SOCK_DGRAM, b"", "open"),
    udp_that_does_not=(socket.SOCK_DGRAM, None, "silent"),
)
def test_a_port_is_open_closed_or_silent(
    kind: socket.SocketKind, answer: bytes | None, state: str
) -> None:
    served, number = listening(kind, answer)
    protocol = "tcp" if kind is socket.SOCK_STREAM else "udp"
    target = f"{protocol} 127.0.0.1 {number}"

    with served:
        assert tried(target) == f"{state} {target}\n"


def test_refused_ports_are_closed_and_what_it_cannot_try_is_silent() -> None:
    targets = ["tcp 127.0.0.1 1", "udp 127.0.0.1 1", "tcp ::1 1", "sctp 127.0.0.1 1", "tcp x 1"]

    states = [line.split(" ")[0] for line in tried("\n".join(targets)).splitlines()]

    assert states == ["closed", "closed", "closed", "silent", "silent"]


def tried(targets: str) -> str:
    """What ``reach.pl`` says of these."""
    command = ["perl", "-e", program("daemon_json/reach.pl")]
    ran = subprocess.run(command, input=targets + "\n", capture_output=True, text=True, check=True)
    return ran.stdout


CHAIN = """table ip docker-bridges {
	chain nat-prerouting-and-output {
		iifname != "br-1" tcp dport 8080 counter dnat to 172.19.0.2:80 comment "DNAT"
		fib daddr type local counter accept
	}
}"""
# Tables are files; what was loaded is kept.
NFT = """
case "$*" in
    "-s list chain ip docker-bridges "*) cat @/chain ;;
    "list table "*) [ -e "@/table.$3" ] ;;
    "-f "*) [ ! -e @/fails ] && cat "$2" > "@/loaded" && touch @/table.ip ;;
    "delete table "*) [ ! -e @/fails ] && rm "@/table.$3" ;;
    *) exit 1 ;;
esac
"""
RULE = 'iifname != "br-1" tcp dport 8080 counter dnat to 172.19.0.2:80 comment "DNAT"'


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH with an nft, on which Docker publishes a port, and no iptables."""
    path = toolbox(tmp_path / "bin", "rm", "touch")
    stub(path, "nft", NFT.replace("@", str(tmp_path)))
    (tmp_path / "chain").write_text(CHAIN)
    return path


def told(tools: Path, command: str, firewall: str = "nftables") -> list[str]:
    """What a command of it notes, and "failed" if it fails."""
    text = script("daemon_json/ports", work=str(tools.parent), firewall=firewall)
    shell = f"{text}\nnote() {{ printf '%s\\n' \"$*\"; }}\n{command} || echo failed\n"
    ran = run(shell, path=tools)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_what_docker_publishes_is_held_and_let_go_again(tools: Path) -> None:
    held = told(tools, "hold_ports")
    rules = (tools.parent / "loaded").read_text()
    released = told(tools, "release_ports")

    assert held == released == []
    assert RULE in rules
    assert "counter accept" not in rules
    assert rules.count("ip daddr != 127.0.0.0/8 fib daddr type local jump held") == 2
    assert not (tools.parent / "table.ip").exists()


def test_a_table_that_is_there_holds_more_than_a_docker_that_is_starting(tools: Path) -> None:
    told(tools, "hold_ports")
    (tools.parent / "chain").write_text(CHAIN.replace("8080", "9090"))

    assert told(tools, "hold_ports") == []
    assert "8080" in (tools.parent / "loaded").read_text()
    (tools.parent / "fails").touch()
    assert told(tools, "release_ports") == ["failed"], "what stays is no success"


def test_docker_with_iptables_has_nothing_in_nftables_and_no_variable_is_taken(tools: Path) -> None:
    assert told(tools, "hold_ports", "iptables") == []
    assert not (tools.parent / "loaded").exists()
    said = told(tools, "kept=', generation 7'; release_ports; echo \"$kept\"")
    assert said == [", generation 7"]


@table("lost", nft_fails=False, no_nft=True)
def test_what_cannot_be_held_is_noted(tools: Path, lost: bool) -> None:
    (tools.parent / "fails").touch()
    if lost:
        (tools / "nft").unlink()

    (said,) = told(tools, "hold_ports")

    assert said.startswith("published ports could not be held open with nft ")
    assert told(tools, "release_ports") == []
