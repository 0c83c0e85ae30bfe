"""What a proof tries of the firewall, and what shows that something is stopped."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.base.scripts import script
from pyinfra_gvisor.parts.egress.proof import CHECKS as EGRESS_CHECKS
from pyinfra_gvisor.parts.egress.rules import STOPPED_SIZE
from pyinfra_gvisor.parts.egress.settings import PRIVATE, Egress, network
from pyinfra_gvisor.parts.egress.state import EgressState
from pyinfra_gvisor.parts.egress.tries import GATEWAY, NO_FIREWALL, ONLY_REPORTS, Try, tries
from pyinfra_gvisor.policy.findings import Severity
from pyinfra_gvisor.proof.checks import CONTROL
from pyinfra_gvisor.proof.part import NOT_WHILE_TRIED
from pyinfra_gvisor.proof.script import probe_script
from pyinfra_gvisor.proof.skipped_checks import skipped_checks
from pyinfra_gvisor.proof.verdict import judge
from pyinfra_gvisor.runtimes.profiles import Runtime
from tests.table import table
from tests.unit.answers import node
from tests.unit.egress.egress_states import declaring
from tests.unit.proof.observations import RELEASE, STOPPED, output
from tests.unit.shells import replaced, run, stub, toolbox

HOST = {"runsc": Runtime(network="host")}
REASON = "our own metadata proxy answers there"
IDS = [check.id for check in EGRESS_CHECKS]
NOT_LOADED = dict.fromkeys(IDS, NOT_WHILE_TRIED)
PROGRAM = files("pyinfra_gvisor.proof").joinpath("container.pl").read_text()
MEMBER = "172.30.0.3 . 192.0.2.1 . tcp . 25"


def word(check: str, **changes: dict[str, str | None]) -> str:
    """What comes of a check if these were the observations."""
    verdicts = judge(output(**changes), RELEASE, HOST)
    (found,) = (verdict.word for verdict in verdicts if verdict.check.id == check)
    return found


@pytest.mark.parametrize("key", STOPPED)
@table(
    "subject, seen, expected",
    refused_at_once=("runsc", "stopped, no route", "ok"),
    not_said_why=("runsc", "stopped, no answer", "ok"),
    stopped_and_connected=("runsc", "stopped, connected", "NOT PROVEN"),
    nothing_seen_inside=("runsc", "stopped", "NOT PROVEN"),
    an_empty_word_inside=("runsc", "stopped, ", "NOT PROVEN"),
    somebody_elses_doing=("runsc", "by no rule, no answer", "NOT PROVEN"),
    connected=("runsc", "by no rule, connected", "NOT PROVEN"),
    let_through=("runsc", "let through, no route", "NOT PROVEN"),
    both=("runsc", "stopped and let through, no route", "NOT PROVEN"),
    not_in_force=("runsc", "not in force, no route", "NOT PROVEN"),
    only_from_inside=("runsc", "no route", "NOT PROVEN"),
    control_connected=(CONTROL, "let through, connected", "ok"),
    control_with_nobody_there=(CONTROL, "let through, no answer", "ok"),
    control_with_nothing_seen_inside=(CONTROL, "let through", "ok"),
    control_stopped=(CONTROL, "stopped, no route", "NOT PROVEN"),
    control_with_both=(CONTROL, "stopped and let through, connected", "NOT PROVEN"),
    control_connected_by_no_rule=(CONTROL, "by no rule, connected", "NOT PROVEN"),
    control_not_in_force=(CONTROL, "not in force, connected", "NOT PROVEN"),
    control_only_from_inside=(CONTROL, "connected", "NOT PROVEN"),
)
def test_stopped_is_what_the_rules_stopped_there_and_let_through_under_runc(
    key: str, subject: str, seen: str, expected: str
) -> None:
    assert word(key.replace("_", "-"), **{subject: {key: seen}}) == expected


def test_metadata_is_worst_and_the_private_addresses_are_such_as_are_blocked() -> None:
    found = declared()["private"]

    worst, high = (
        [check.id for check in EGRESS_CHECKS if check.severity is severity]
        for severity in (Severity.CRITICAL, Severity.HIGH)
    )
    assert set(worst) == {"egress-metadata"}
    assert high == ["egress-private", "egress-smtp", "egress-node"]
    assert isinstance(found, Try)
    for address in found.addresses:
        assert any(ip_address(address) in network(text) for text in PRIVATE)


def test_where_nothing_is_blocked_nothing_is_tried() -> None:
    assert {*declared(mode="report").values()} == {ONLY_REPORTS}


def declared(**given: Any) -> dict[str, Try | str]:
    """What is tried with these settings, and what is not."""
    return tries(Egress.model_validate(given))


@table(
    "given, kind, expected",
    metadata=({}, "metadata", Try(("169.254.169.254",), 80)),
    node=({}, "node", Try((GATEWAY,), 22)),
    smtp=({}, "smtp", Try(("192.0.2.1", "198.51.100.1", "203.0.113.1"), 25)),
    a_private_network_is_allowed=(
        {"allow": [{"to": "10.0.0.0/8"}]},
        "private",
        Try(("172.31.255.254", "192.168.255.254", "100.127.255.254"), 80),
    ),
    another_port_is_allowed=(
        {"allow": [{"to": "10.0.0.0/8", "ports": ["5432", "80/udp"]}]},
        "private",
        Try(("10.255.255.254", "172.31.255.254", "192.168.255.254", "100.127.255.254"), 80),
    ),
    port_25_first=({"smtp_ports": [465, 25]}, "smtp", 25),
    another_mail_port=({"smtp_ports": [587, 465]}, "smtp", 587),
    ssh_is_a_node_port=({"node_ports": ["22", "100-120"]}, "node", 2375),
    its_udp_is_a_node_port=({"node_ports": ["22/udp"]}, "node", 22),
    the_lowest_allowed_port=(
        {"allow": [{"to": "10.0.0.5", "ports": ["53/udp", "8000-8010", "5432"]}]},
        "allowed",
        Try(("10.0.0.5",), 5432),
    ),
    the_first_with_an_address_and_a_port=(
        {
            "allow": [
                {"to": "10.0.0.4"},
                {"to": "10.1.0.0/16", "ports": ["80"]},
                {"to": "fd77::1", "ports": ["80"]},
                {"to": "10.0.0.5", "ports": ["53/udp"]},
                {"to": "10.0.0.6/32", "ports": ["443/tcp"]},
            ]
        },
        "allowed",
        Try(("10.0.0.6",), 443),
    ),
)
def test_what_is_tried_is_what_the_settings_stop_and_allow(
    given: dict[str, Any], kind: str, expected: Try | int
) -> None:
    found = declared(**given)[kind]

    assert isinstance(found, Try)
    assert expected in (found, found.port)


@table(
    "given, kind, why_not",
    metadata=({"block": []}, "metadata", "does not include metadata"),
    smtp=({"block": ["node"]}, "smtp", "does not include smtp"),
    node=({"block": ["smtp"]}, "node", "does not include node"),
    metadata_is_allowed=(
        {"allow": [{"to": "169.254.169.254", "reason": REASON}]},
        "metadata",
        "`allow` includes every",
    ),
    everything_is_allowed=(
        {"allow": [{"to": "0.0.0.0/0", "ports": ["1-100"], "reason": REASON}]},
        "private",
        "`allow` includes every",
    ),
    no_mail_port=({"smtp_ports": []}, "smtp", "`smtp_ports` is empty"),
    every_port_is_a_node_port=({"node_ports": ["1-65535"]}, "node", "`node_ports` includes"),
    nothing_allowed=({}, "allowed", "`allow` has no IPv4"),
    no_port_allowed=({"allow": [{"to": "10.0.0.5"}]}, "allowed", "`allow` has no IPv4"),
)
def test_what_is_not_tried_has_its_reason(given: dict[str, Any], kind: str, why_not: str) -> None:
    found = declared(**given)[kind]

    assert isinstance(found, str)
    assert why_not in found
    assert len(found) <= 52, "it is shown in full"


@table(
    "egress, no_reload, expected",
    no_firewall=(None, None, dict.fromkeys(IDS, NO_FIREWALL)),
    no_firewall_while_a_release_is_tried=(None, NOT_WHILE_TRIED, NOT_LOADED),
    rules_that_may_not_be_loaded_yet=(Egress(), NOT_WHILE_TRIED, NOT_LOADED),
    rules_that_are_not_in_force=(Egress(), None, {"egress-allowed": declared()["allowed"]}),
)
def test_checks_of_the_firewall_are_left_out_only_where_there_is_none_yet(
    egress: Egress | None, no_reload: str | None, expected: dict[str, str]
) -> None:
    found = skipped_checks(node(), wanted=True, no_reload=no_reload, declared=declaring(egress))

    assert {check: why for check, why in found.items() if check in IDS} == expected


def told(egress: Egress | None, **given: Any) -> str:
    """The script for a node whose rules are in force, but for what is given."""
    loaded = {"now": "a", "as_loaded": "a", "uplinks": ("eth0", "wlan0"), **given}
    found = node().model_copy(update={"parts": {"egress": EgressState(**loaded)}})
    return probe_script(found, HOST, no_reload="not now", declared=declaring(egress))


def test_the_script_is_told_what_to_try_and_if_the_rules_are_in_force() -> None:
    text = told(Egress.model_validate({"block": ["metadata", "node"], "node_ports": ["22"]}))
    never, undeclared = told(None, now=None), told(None)

    assert "tries='metadata=169.254.169.254=80 node=gateway=111'\n" in text
    assert "uplinks='eth0 wlan0'\nin_force=yes\n" in text
    for changed_or_gone in ("b", None):
        assert "\nin_force=''\n" in told(Egress(), now=changed_or_gone)
    assert "trying=egress\n" in text
    assert "trying=''\n" in never
    assert "egress_sweeps()" not in never
    assert "trying=egress\ntries=''\n" in undeclared
    assert "egress_sweeps()" in undeclared


def tried(*words: str) -> dict[str, str]:
    """What the program in the container makes of these."""
    command = ["perl", "-e", PROGRAM, "try", *words]
    one_after_another_s = 2 * len(words)
    ran = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=one_after_another_s / 2
    )
    return dict(line.split("\t") for line in ran.stdout.splitlines())


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
    with socket.create_server(("127.0.0.1", 0)) as opened, mute() as silent:
        with socket.create_server(("127.0.0.1", 0)) as closing:
            closed = closing.getsockname()[1]

        said = tried(
            *(f"{number}=127.0.0.1={silent}" for number in range(50)),
            f"smtp=127.0.0.1={opened.getsockname()[1]}",
            f"node=127.0.0.1={closed}",
        )

    expected = dict.fromkeys(map(str, range(50)), "no answer")
    assert said == {**expected, "smtp": "connected", "node": "refused"}


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


def said(tools: Path, *commands: str, in_force: str = "yes", limit_s: int = 120) -> list[str]:
    """What the part prints, once these commands were called, in a proof with this limit."""
    given = {"tries": "", "uplinks": "eth0 ppp0", "in_force": in_force}
    text = script("parts/egress/proof", "proof/look", probe_timeout_s=limit_s, **given)
    text = replaced(text, {"/usr/sbin/nft": tools / "nft"})
    more = "say() { printf '%s\\n' \"$*\"; }\n" + "\n".join(commands)
    ran = run(text + more, path=tools)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


@table(
    "candidates, expected",
    a_containers_bridge=("10.255.255.254,100.127.255.254", "100.127.255.254"),
    the_nodes_subnet=("172.31.255.254,100.127.255.254", "100.127.255.254"),
    no_uplink=("192.168.255.254,100.127.255.254", "100.127.255.254"),
    the_nodes_own=("127.9.9.9,100.127.255.254", "100.127.255.254"),
    no_route=("10.99.0.1,100.127.255.254", "100.127.255.254"),
    an_uplink_without_a_gateway=("10.0.0.5,100.127.255.254", "10.0.0.5"),
)
def test_a_private_address_is_beyond_the_node(tools: Path, candidates: str, expected: str) -> None:
    assert said(tools, f"choose private {candidates}", 'say "$to"') == [expected]


@table(
    "kind, candidates, why_not",
    all_the_nodes_own=(
        "private",
        "10.255.255.254,172.31.255.254",
        "no route to a private address outside the node",
    ),
    metadata=("metadata", "169.254.169.254", "the node has no route to 169.254.169.254"),
    smtp=("smtp", "192.0.2.1,198.51.100.1", "the node has no route to 192.0.2.1"),
)
def test_what_cannot_be_reached_is_untried(
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


def test_of_what_was_stopped_only_a_probes_tries_are_forgotten(tools: Path, tmp_path: Path) -> None:
    told = tmp_path / "told"
    said(tools, "egress_sweeps 172.30.0.3 172.30.0.4")
    lines = told.read_text().splitlines()
    told.unlink()
    stub(tools, "nft", f'echo "$*" >> {told}; exit 1')
    without_a_table = said(tools, "egress_sweeps 172.30.0.3")

    flush = "flush set inet pyinfra_gvisor"
    assert lines[1:3] == [f"{flush} controls4", f"{flush} passed4"]
    assert [line for line in lines if line.startswith("delete")] == [
        "delete element inet pyinfra_gvisor stopped4 { 172.30.0.3 . 169.254.169.254 . tcp . 80 }",
        "delete element inet pyinfra_gvisor stopped4 { 172.30.0.3 . 10.9.9.53 . udp . 53 }",
    ]
    assert (without_a_table, told.read_text()) == ([], "list table inet pyinfra_gvisor\n")


@table("limit_s, seconds", at_once=(120, 60), slow=(1200, 600))
def test_the_control_passes_for_as_long_as_a_slow_proof_takes(
    tools: Path, tmp_path: Path, limit_s: int, seconds: int
) -> None:
    known = "inspected() { address=172.30.0.4; }"
    said(tools, known, "started='' chosen=x tries=''", "egress_begins", limit_s=limit_s)

    added = [line for line in (tmp_path / "told").read_text().splitlines() if "add" in line]
    given = f"{{ 172.30.0.4 timeout {seconds}s }}"
    assert added == [f"add element inet pyinfra_gvisor controls4 {given}"]


@table(
    "stopped, passed, expected",
    stopped=(MEMBER, "", "stopped"),
    let_through=("", MEMBER, "let through"),
    both=(MEMBER, MEMBER, "stopped and let through"),
    neither=("", "", "by no rule"),
    no_room=("a flood\n" * STOPPED_SIZE, "", "stopped4 is full"),
    let_through_then=("a flood\n" * STOPPED_SIZE, MEMBER, "let through"),
    another_port=(f"{MEMBER}25", "", "by no rule"),
    another_source=(f"1{MEMBER}", "", "by no rule"),
    another_protocol=(MEMBER.replace("tcp", "udp"), "", "by no rule"),
    no_pattern=(MEMBER.replace("192.0.2", "192x0x2"), "", "by no rule"),
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


@table(
    "in_force, inside, expected",
    in_force=(
        "yes",
        "smtp\tno route\nallowed\tconnected\n",
        ["egress_smtp\tstopped, no route", "egress_allowed\tconnected"],
    ),
    not_in_force=(
        "",
        "smtp\tconnected\nallowed\tconnected\n",
        ["egress_smtp\tnot in force, connected", "egress_allowed\tnot in force, connected"],
    ),
    exec_failed=("yes", "exec failed\n", ["egress_smtp\tstopped", "egress_allowed\t"]),
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

    why = "runc cannot reach 10.0.0.5 port 5432 either"
    assert f"node\tnot_applicable.egress-allowed\t{why}" in lines
