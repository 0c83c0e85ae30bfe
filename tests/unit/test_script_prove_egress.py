"""What is tried of the firewall from inside, and read of it on the node, without either."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from pathlib import Path

import pytest

from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.parts.egress.rules import STOPPED_SIZE
from tests.unit.shells import replaced, run, stub, toolbox

PROGRAM = files("pyinfra_gvisor.proof").joinpath("container.pl").read_text()


def tried(*words: str) -> dict[str, str]:
    """What the program in the container makes of these."""
    ran = subprocess.run(
        ["perl", "-e", PROGRAM, "try", *words], capture_output=True, text=True, check=True
    )
    return dict(line.split("\t") for line in ran.stdout.splitlines())


@contextmanager
def listening() -> Iterator[int]:
    """A port that connections are let in at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextmanager
def mute() -> Iterator[int]:
    """A port at which nothing answers: a queue of one that is full."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield server.getsockname()[1]


def test_connections_are_tried_all_at_once_and_none_for_long() -> None:
    with listening() as open_port, mute() as one, mute() as other:
        with socket.create_server(("127.0.0.1", 0)) as closing:
            closed = closing.getsockname()[1]
        began = time.monotonic()

        said = tried(
            f"metadata=127.0.0.1={one}",
            f"private=127.0.0.1={other}",
            f"smtp=127.0.0.1={open_port}",
            f"node=127.0.0.1={closed}",
        )

    assert time.monotonic() - began < 3
    assert said == {
        "metadata": "no answer",
        "private": "no answer",
        "smtp": "connected",
        "node": "refused",
    }


ROUTES = """
case "$*" in
    *" route get 10.255.255.254") echo "10.255.255.254 dev br-0123456789ab src 10.255.0.1 uid 0" ;;
    *" route get 172.31.255.254") echo "172.31.255.254 dev eth0 src 172.31.0.7 uid 0" ;;
    *" route get 192.168.255.254") echo "192.168.255.254 via 10.8.0.1 dev wg0 src 10.8.0.2 uid 0" ;;
    *" route get 100.127.255.254") echo "100.127.255.254 via 192.0.2.1 dev eth0 src 192.0.2.7" ;;
    *" route get 10.0.0.5") echo "10.0.0.5 dev ppp0 src 192.0.2.8 uid 0" ;;
    *" route get 127.9.9.9") echo "local 127.9.9.9 dev lo src 127.0.0.1 uid 0" ;;
    *" route get "*) echo "RTNETLINK answers: Network is unreachable" >&2; exit 2 ;;
    *" match 172.31.255.254 scope link") echo "172.31.0.0/16 dev eth0 src 172.31.0.7" ;;
    *" match 10.0.0.5 scope link") echo "default dev ppp0" ;;
esac
"""
LISTED = """table inet pyinfra_gvisor {
    set stopped4 {
        type ipv4_addr . ipv4_addr . inet_proto . inet_service
        size 4096
        flags dynamic,timeout
        timeout 1h
        elements = { 172.30.0.3 . 169.254.169.254 . tcp . 80 expires 59m58s,
            172.30.0.31 . 192.0.2.1 . tcp . 25 timeout 1h expires 59m58s492ms,
            172.30.0.3 . 10.9.9.53 . udp . 53 expires 3s, 10.0.0.5 . 10.9.9.5 . tcp . 5 expires 1s }
    }
}""".replace("    ", "\t")
NFT = """
echo "$*" >> @/told
if [ "$1 $2 $5" = 'list set stopped4' ]; then cat @/listed; fi
"""


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH of the test's own, with routes and rules; what nft was told is in ``told``."""
    path = toolbox(tmp_path / "bin")
    stub(path, "ip", ROUTES)
    stub(path, "nft", NFT.replace("@", str(tmp_path)))
    (tmp_path / "listed").write_text(LISTED)
    return path


def said(tools: Path, *commands: str, in_force: str = "yes") -> list[str]:
    """What the part prints, once these commands were called."""
    given = {"tries": "", "uplinks": "eth0 ppp0", "in_force": in_force}
    text = script("parts/egress/proof", "proof/look", **given)
    text = replaced(text, {"/usr/sbin/nft": tools / "nft"})
    more = "say() { printf '%s\\n' \"$*\"; }\n" + "\n".join(commands)
    ran = run(text + more, path=tools)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        pytest.param("10.255.255.254,100.127.255.254", "100.127.255.254", id="a-containers-bridge"),
        pytest.param("172.31.255.254,100.127.255.254", "100.127.255.254", id="the-nodes-subnet"),
        pytest.param("192.168.255.254,100.127.255.254", "100.127.255.254", id="no-uplink"),
        pytest.param("127.9.9.9,100.127.255.254", "100.127.255.254", id="the-nodes-own"),
        pytest.param("10.99.0.1,100.127.255.254", "100.127.255.254", id="no-route"),
        pytest.param("10.0.0.5,100.127.255.254", "10.0.0.5", id="an-uplink-without-a-gateway"),
    ],
)
def test_the_private_address_is_beyond_the_node(
    tools: Path, candidates: str, expected: str
) -> None:
    assert said(tools, f"choose private {candidates}", 'say "$to"') == [expected]


@pytest.mark.parametrize(
    ("kind", "candidates", "why_not"),
    [
        pytest.param(
            "private",
            "10.255.255.254,172.31.255.254",
            "no route to a private address outside the node",
            id="all-the-nodes-own",
        ),
        pytest.param(
            "metadata", "169.254.169.254", "the node has no route to 169.254.169.254", id="metadata"
        ),
        pytest.param(
            "smtp", "192.0.2.1,198.51.100.1", "the node has no route to 192.0.2.1", id="smtp"
        ),
    ],
)
def test_what_no_packet_could_get_to_is_not_tried(
    tools: Path, kind: str, candidates: str, why_not: str
) -> None:
    lines = said(tools, f"choose {kind} {candidates}", 'say "to $to"')

    assert lines == [f"node\tnot_applicable.egress-{kind}\t{why_not}", "to "]
    assert len(why_not) <= 52, "it is shown in full"


def test_the_members_of_a_set_are_read_with_whatever_is_behind_them(tools: Path) -> None:
    assert said(tools, "members stopped4") == [
        "172.30.0.3 . 169.254.169.254 . tcp . 80",
        "172.30.0.31 . 192.0.2.1 . tcp . 25",
        "172.30.0.3 . 10.9.9.53 . udp . 53",
        "10.0.0.5 . 10.9.9.5 . tcp . 5",
    ]


def test_of_what_was_stopped_only_what_a_probe_tried_is_forgotten(
    tools: Path, tmp_path: Path
) -> None:
    said(tools, "egress_sweeps 172.30.0.3 172.30.0.4")

    told = (tmp_path / "told").read_text().splitlines()
    assert told[1:3] == [
        "flush set inet pyinfra_gvisor controls4",
        "flush set inet pyinfra_gvisor passed4",
    ]
    assert [line for line in told if line.startswith("delete")] == [
        "delete element inet pyinfra_gvisor stopped4 { 172.30.0.3 . 169.254.169.254 . tcp . 80 }",
        "delete element inet pyinfra_gvisor stopped4 { 172.30.0.3 . 10.9.9.53 . udp . 53 }",
    ]


def test_without_a_table_there_is_nothing_to_forget(tools: Path, tmp_path: Path) -> None:
    stub(tools, "nft", f'echo "$*" >> {tmp_path}/told; exit 1')

    assert said(tools, "egress_sweeps 172.30.0.3") == []
    assert (tmp_path / "told").read_text() == "list table inet pyinfra_gvisor\n"


MEMBER = "172.30.0.3 . 192.0.2.1 . tcp . 25"


@pytest.mark.parametrize(
    ("stopped", "passed", "expected"),
    [
        pytest.param(MEMBER, "", "stopped", id="stopped"),
        pytest.param("", MEMBER, "let through", id="let-through"),
        pytest.param(MEMBER, MEMBER, "stopped and let through", id="both"),
        pytest.param("", "", "by no rule", id="neither"),
        pytest.param("a flood\n" * STOPPED_SIZE, "", "stopped4 is full", id="no-room"),
        pytest.param("a flood\n" * STOPPED_SIZE, MEMBER, "let through", id="let-through-then"),
        pytest.param(f"{MEMBER}25", "", "by no rule", id="another-port"),
        pytest.param(f"1{MEMBER}", "", "by no rule", id="another-source"),
        pytest.param(MEMBER.replace("tcp", "udp"), "", "by no rule", id="another-protocol"),
        pytest.param(MEMBER.replace("192.0.2", "192x0x2"), "", "by no rule", id="no-pattern"),
    ],
)
def test_what_the_rules_did_is_known_by_source_destination_and_port(
    tools: Path, tmp_path: Path, stopped: str, passed: str, expected: str
) -> None:
    for name, text in (("stopped4", stopped), ("passed4", passed)):
        (tmp_path / name).write_text(f"{text}\n")

    assert said(tools, f"work={tmp_path}", f"by_rules '{MEMBER}'") == [expected]


TRIED = """
offline='' started='runsc runc' name=probe tag=1 chosen='smtp=192.0.2.1=25 allowed=10.0.0.5=5432'
{
    echo '/probe-runsc-1 runsc 7 0 a172.30.0.31 p'
    echo '/probe-runc-1 runc 8 0 a172.30.0.4 p'
} > "$work/inspected"
"""


@pytest.mark.parametrize(
    ("in_force", "inside", "expected"),
    [
        pytest.param(
            "yes",
            "smtp\tno route\nallowed\tconnected\n",
            ["egress_smtp\tstopped, no route", "egress_allowed\tconnected"],
            id="in-force",
        ),
        pytest.param(
            "",
            "smtp\tconnected\nallowed\tconnected\n",
            ["egress_smtp\tnot in force, connected", "egress_allowed\tnot in force, connected"],
            id="not-in-force",
        ),
        pytest.param(
            "yes",
            "OCI runtime exec failed\n",
            ["egress_smtp\tstopped", "egress_allowed\t"],
            id="exec-failed",
        ),
    ],
)
def test_what_is_told_is_what_was_seen_inside_and_of_the_rules(
    tools: Path, tmp_path: Path, in_force: str, inside: str, expected: list[str]
) -> None:
    for name in ("runsc", "runc"):
        (tmp_path / f"tried.{name}").write_text(inside)

    lines = said(tools, f"work={tmp_path}", TRIED, "egress_ends", in_force=in_force)

    assert [line.partition("\t")[2] for line in lines if line.startswith("runsc\t")] == expected


def test_what_runc_does_not_reach_either_is_not_tried(tools: Path, tmp_path: Path) -> None:
    (tmp_path / "tried.runsc").write_text("allowed\tconnected\n")
    (tmp_path / "tried.runc").write_text("allowed\tno answer\n")

    lines = said(tools, f"work={tmp_path}", TRIED, "egress_ends")

    assert (
        "node\tnot_applicable.egress-allowed\trunc cannot reach 10.0.0.5 port 5432 either" in lines
    )
