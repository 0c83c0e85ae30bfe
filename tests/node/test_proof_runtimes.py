"""The proof of several runtimes at once, and of what a node may have given up."""

from collections.abc import Iterator

import pytest

from pyinfra_gvisor.proof.checks import asked_of
from pyinfra_gvisor.runtimes.profiles import Runtime
from tests.node.audits import sh
from tests.node.proving import prove, rows
from tests.node.running import PROVEN, WITH_ROWS, Fleet
from tests.node.seeing import daemon_json, docker_info, no_leftovers
from tests.node.transactions import FILE, assert_as_declared
from tools.lab import LabNode

pytestmark = pytest.mark.usefixtures("converged")

THREE = {"runsc": {}, "net": {"network": "sandbox"}, "off": {"network": "none"}}


@pytest.fixture
def three(converged: dict[str, LabNode]) -> Iterator[LabNode]:
    """A node that has nothing of other runtimes afterwards."""
    yield converged["plain"]
    converged["plain"].exec(
        "sh", "-c", "rm -f /opt/gvisor/runtimes/net-* /opt/gvisor/runtimes/off-*"
    )


def test_runtimes_with_every_network_are_proven_at_once(three: LabNode, fleet: Fleet) -> None:
    outcome = prove(fleet, "plain", profiles=THREE)

    assert outcome.code == 0, outcome.text
    for name, network in (("runsc", "host"), ("net", "sandbox"), ("off", "none")):
        table = rows(outcome, name)
        assert list(table) == [check.id for check in asked_of(Runtime(network=network))]
        assert all(row.endswith(("  ok", "  n/a")) for row in table.values()), table
    assert rows(outcome, "net")["published-port"].endswith("ok")
    assert no_leftovers(three) == ""


def test_a_limit_that_a_runtime_ignores_is_not_in_force(fleet: Fleet) -> None:
    loose = {"flags": ["--ignore-cgroups"], "reason": "to see that it is found"}

    outcome = prove(fleet, "plain", profiles={"runsc": {}, "loose": loose})

    assert rows(outcome, "runsc")["memory-limit"].endswith("ok")
    assert not rows(outcome, "loose")["memory-limit"].endswith("ok")
    assert no_leftovers(fleet.nodes["plain"]) == ""
    fleet.nodes["plain"].exec("sh", "-c", "rm -f /opt/gvisor/runtimes/loose-*")


_RESOLVER = r"""
socket(my $server, AF_INET, SOCK_DGRAM, 0) or die $!;
bind($server, sockaddr_in(53, inet_aton($ARGV[0]))) or die $!;
while (defined(my $from = recv($server, my $query, 512, 0))) {
    my $end = index($query, "\0", 12);
    my $is_a = unpack("n", substr($query, $end + 1, 2)) == 1;
    my $answer = $is_a ? pack("nnnNna4", 0xc00c, 1, 1, 60, 4, inet_aton("192.0.2.80")) : "";
    my $head = substr($query, 0, 2) . pack("nnnnn", 0x8180, 1, $is_a ? 1 : 0, 0, 0);
    send($server, $head . substr($query, 12, $end - 7) . $answer, 0, $from);
}
"""
_RESOLVE = r"""
set -eu
address=$(ip route get 192.0.2.1 | sed -n 's/.* src \([^ ]*\).*/\1/p')
setsid perl -MSocket -e "$1" "$address" < /dev/null > /dev/null 2>&1 &
echo $! > /root/resolver.pid
cp /etc/resolv.conf /root/resolv.conf
echo "nameserver $address" > /etc/resolv.conf
"""
_STOP_RESOLVING = (
    "cat /root/resolv.conf > /etc/resolv.conf; kill $(cat /root/resolver.pid); rm /root/resol*"
)


@pytest.fixture(params=["docker-20", pytest.param("docker-29", marks=pytest.mark.slow)])
def resolving(converged: dict[str, LabNode], request: pytest.FixtureRequest) -> Iterator[str]:
    """A node with a resolver that has one address for every name."""
    node = converged[request.param]
    sh(node, _RESOLVE, _RESOLVER)
    yield request.param
    node.exec("sh", "-c", _STOP_RESOLVING)


def test_an_external_name_is_asked_for_where_the_node_resolves_it(
    resolving: str, fleet: Fleet
) -> None:
    outcome = prove(fleet, resolving)

    assert outcome.code == 0, outcome.text
    assert rows(outcome)["dns-external"].split()[2:] == ["192.0.2.80", "192.0.2.80", "ok"]
    assert rows(outcome)["dns"].endswith("ok")


def test_a_file_that_dockerd_has_not_read_is_not_brought_into_force(fleet: Fleet) -> None:
    node = fleet.nodes["plain"]
    text = daemon_json(node)
    node.put(FILE, text.replace("{", '{"debug": true,', 1).encode())

    outcome = prove(fleet, "plain")
    live = docker_info(node)["Debug"]
    node.put(FILE, text.encode())

    assert outcome.code == 0, outcome.text
    assert rows(outcome)["reload"].endswith("  n/a")
    assert "has not read daemon.json" in rows(outcome)["reload"]
    assert live is False
    assert_as_declared(fleet, "plain")


@pytest.mark.slow
def test_a_node_that_gives_up_no_new_privileges_shows_what_a_setuid_program_gains(
    fleet: Fleet,
) -> None:
    data = {**PROVEN, "gvisor_daemon_json": {"no-new-privileges": False}}
    given_up = fleet.run("plain", flags=WITH_ROWS, data=data)

    wanted = prove(fleet, "plain", no_new_privileges=True)
    back = fleet.run("plain", flags=WITH_ROWS, data=PROVEN)

    assert given_up.code == back.code == 0, given_up.text + back.text
    assert "is switched off" in rows(given_up)["no-new-privs"]
    assert wanted.code == 1
    # A sandbox of 2026 gives a setuid program nothing in any case, so only the control shows it.
    row = rows(wanted)["no-new-privs"].split("  ")
    assert [cell.strip() for cell in row if cell][2:] == [
        "nothing gained",
        "became root",
        "NOT PROVEN",
    ]
    assert rows(back)["no-new-privs"].endswith("  ok")
    assert no_leftovers(fleet.nodes["plain"]) == ""
