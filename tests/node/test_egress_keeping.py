"""Rules outlive what happens on a node; what they stop is told, what locks out is rolled back."""

import re
from collections.abc import Iterator

import pytest

from pyinfra_gvisor.parts.keeper.files import NAME as KEEPER
from tests.node.audits import audit, sh
from tests.node.containers import must, remove_container, start_container
from tests.node.egress_faults import CANDIDATE, NEW, on_probation, pending
from tests.node.egress_nodes import (
    CONTAINERS,
    GATEWAY,
    METADATA,
    METADATA6,
    NODE_PORT,
    PRIVATE,
    PUBLIC,
    PUBLISHED,
    RESOLVER,
    RULES,
    TABLE,
    UNIT,
    Ground,
    at_once,
    counted,
    gateway6,
    kept,
    stopped,
    table,
)
from tests.node.egress_nodes import NAME as OUTSIDE
from tests.node.faults import kill, wait_for
from tests.node.watching import keeper_says, within
from tools.lab import LabNode

NAME = "docker-28"
TEXTFILES = "/var/lib/prometheus/node-exporter"
BRIDGES = ("evil0", "e*", 'q"q', "a\\b", "\u00e9")

FORBIDDEN = {
    "metadata": f"tcp/{METADATA}/80",
    "metadata, v6": f"tcp/{METADATA6}/80",
    "private host": f"tcp/{PRIVATE}/80",
    "sshd by the gateway": f"tcp/{GATEWAY}/22",
}
REFUSED = {**dict.fromkeys(FORBIDDEN, "EHOSTUNREACH"), "metadata, v6": "EACCES"}
TARGETS = {**FORBIDDEN, "open internet": f"tcp/{PUBLIC}/80", "name outside": f"name/{OUTSIDE}"}
IN_FORCE = {**REFUSED, "open internet": "reached", "name outside": PUBLIC}
SLACK_S = 12  # for a busy machine
REASON = "to see in a test what comes of it"
OWN_WAY_IN = {**RULES, "interfaces": ["eth0"]}
CONFIRM_S = 8
# The address and the default route of one interface to another, of which one is a port of br0.
_MOVE = """
set -eu
address=$(ip -4 -o address show dev "$1" | sed -n '1s/.* inet \\([^ ]*\\) .*/\\1/p')
way=$(ip route show default | sed -n '1s/.* via \\([^ ]*\\) .*/\\1/p')
if [ "$2" = br0 ]; then
    ip link add br0 address "$(cat /sys/class/net/eth0/address)" type bridge
    ip link set eth0 master br0
fi
ip address flush dev "$1"
if [ "$1" = br0 ]; then ip link del br0; fi
ip link set "$2" up
ip address add "$address" dev "$2"
ip route add default via "$way" dev "$2"
"""
# ssh first, or the lab's own way in is gone.
_UFW = f"""
set -eu
export DEBIAN_FRONTEND=noninteractive
{{ apt-get -qq update && apt-get -qq install -y --no-install-recommends ufw; }} > /dev/null
ufw allow 22/tcp
ufw deny {NODE_PORT}/tcp
ufw --force enable
"""
_NO_UFW = "ufw --force disable && apt-get -qq purge -y ufw > /dev/null && systemctl restart docker"


@pytest.fixture
def node(egress: Ground) -> LabNode:
    """A node with rules, and with containers behind them."""
    return egress.firewalled(NAME)


@pytest.fixture
def nftables(node: LabNode) -> Iterator[LabNode]:
    """The same with Debian's nftables.service; its rules are those that its package brings."""
    sh(node, f"systemctl start nftables && systemctl restart {UNIT}")
    yield node
    sh(node, "systemctl stop nftables; systemctl reset-failed; systemctl restart docker")
    node.wait_until_ready()


@pytest.fixture
def ufw(node: LabNode) -> Iterator[LabNode]:
    """The same with ufw, which lets ssh in and denies a port that our rules let through."""
    sh(node, _UFW)
    yield node
    sh(node, _NO_UFW)
    node.wait_until_ready()


def in_force(ground: Ground) -> bool:
    """Whether both containers find the rules as they have to be."""
    found = at_once(lambda container: ground.probe(NAME, container, TARGETS), CONTAINERS)
    return found == dict.fromkeys(CONTAINERS, IN_FORCE)


def changes_nothing(ground: Ground) -> bool:
    """Whether a run finds everything as declared."""
    return ground.deploy(NAME).idle


def test_networks_on_bridges_of_any_name_are_inside_from_the_first_packet(
    egress: Ground, node: LabNode
) -> None:
    targets = {
        **{what: TARGETS[what] for what in ("metadata", "private host", "open internet")},
        "sshd by the node's address": f"tcp/{node.address}/22",
    }
    names = [f"odd-{number}" for number, _ in enumerate(BRIDGES)]
    try:
        for name, bridge in zip(names, BRIDGES, strict=True):
            option = f"com.docker.network.bridge.name={bridge}"
            must(node, "docker", "network", "create", "--opt", option, name)
            start_container(node, name, f"--network={name}")
        after = at_once(lambda name: egress.probe(NAME, name, targets), names)
        second = changes_nothing(egress)
        sh(node, f"nft delete table {TABLE}")
        egress.deploy(NAME)  # with these names there
        before = at_once(lambda name: egress.probe(NAME, name, targets), names)
    finally:
        for name in names:
            remove_container(node, name)
        sh(node, f"docker network rm {' '.join(names)}")

    expected = {**dict.fromkeys(targets, "EHOSTUNREACH"), "open internet": "reached"}
    assert after == dict.fromkeys(names, expected)
    assert second
    assert before == after


def test_who_tried_what_is_named_in_the_report_and_counted_in_the_metrics(
    egress: Ground, node: LabNode
) -> None:
    sh(node, f"nft flush set {TABLE} stopped4; nft flush set {TABLE} stopped6")
    tried = {what: FORBIDDEN[what] for what in ("private host", "metadata")}
    egress.probe(NAME, "sandbox", tried)
    egress.probe(NAME, "tenant", {"sshd": FORBIDDEN["sshd by the gateway"]})
    sh(node, f"mkdir -p {TEXTFILES}")

    seen = audit(egress.fleet, NAME, egress=RULES, textfile_dir=TEXTFILES)

    packets = counted(node)["drop_metadata"]
    metrics = sh(node, f"cat {TEXTFILES}/pyinfra_gvisor.prom; rm -r {TEXTFILES}")
    evidence = {key: item["evidence"] for key, item in seen.found.items() if "egress-stop" in key}
    assert evidence == {
        "egress-stopped sandbox": f"{METADATA}:80/tcp, {PRIVATE}:80/tcp",
        "egress-stopped tenant": f"{GATEWAY}:22/tcp",
    }
    said = " ".join(seen.outcome.stderr.split())
    assert re.search(r"LOW egress-stopped: [^:]*(: )?The firewall blocked attempts", said)
    report = seen.report["egress"]
    assert (report["declared"], report["in_force"]) == (True, True)
    assert {item["who"]: item["tried"] for item in report["stopped"]} == {
        "sandbox": [f"{METADATA}:80/tcp", f"{PRIVATE}:80/tcp"],
        "tenant": [f"{GATEWAY}:22/tcp"],
    }
    assert report["counters"]["drop_metadata"] == packets > 0
    assert "gvisor_egress_in_force 1\n" in metrics
    sample = f'gvisor_egress_packets_total{{verdict="drop",rule="metadata"}} {packets}\n'
    assert sample in metrics


def test_a_container_does_not_answer_for_the_one_that_had_its_address_before(
    egress: Ground, node: LabNode
) -> None:
    address = "docker inspect --format '{{.NetworkSettings.Networks.bridge.IPAddress}}'"
    sh(node, f"nft flush set {TABLE} stopped4")
    start_container(node, "shop")
    egress.probe(NAME, "shop", {"metadata": FORBIDDEN["metadata"]})
    had = sh(node, f"{address} shop").strip()
    remove_container(node, "shop")
    is_old = f"nft list set {TABLE} stopped4 | grep -q 'expires 59m5[0-6]'"  # in whole seconds
    assert within(SLACK_S, lambda: node.exec("sh", "-c", is_old).code == 0)
    start_container(node, "next")

    seen = audit(egress.fleet, NAME, egress=RULES)
    has = sh(node, f"{address} next").strip()
    remove_container(node, "next")

    what = f"{had} to {METADATA}:80/tcp (from no running container)"
    assert has == had
    assert seen.found[f"egress-stopped {had}"]["evidence"] == what


def test_after_another_program_has_flushed_all_rules_the_keeper_loads_them(
    egress: Ground, node: LabNode
) -> None:
    before, sshd = table(node), {"sshd": TARGETS["sshd by the gateway"]}
    gone = f"egress: the kernel has no table {TABLE}: containers could reach everything that the "
    inactive = f"egress: {UNIT}.service is not active"

    sh(node, "nft -f /etc/nftables.conf; nft delete table inet filter")
    without = egress.probe(NAME, "tenant", sshd)
    said = keeper_says(node)
    restored = (table(node), egress.probe(NAME, "tenant", sshd))
    sh(node, f"mv /usr/sbin/nft /usr/sbin/nft.away; nft.away delete table {TABLE}")
    failing = keeper_says(node)
    units = sh(node, f"systemctl is-failed {UNIT} {KEEPER} || :").split()
    sh(node, "mv /usr/sbin/nft.away /usr/sbin/nft")
    last, nothing = keeper_says(node), keeper_says(node)
    sh(node, "systemctl restart docker")  # its rules were flushed too
    node.wait_until_ready()
    sh(node, "systemctl reload docker")
    node.wait_until_ready()

    assert without == {"sshd": "reached"}
    assert said == [f"{gone}node can; restored"]
    assert restored == (before, {"sshd": "EHOSTUNREACH"})
    assert failing[:2] == [
        f"{text}; run pyinfra-gvisor apply" for text in (f"{gone}node can", inactive)
    ]
    assert units == ["failed", "failed"]
    assert last == [f"{gone}node can; restored", f"{inactive}; restored"]
    assert (nothing, table(node)) == ([], before)
    assert in_force(egress)
    assert changes_nothing(egress)


@pytest.mark.slow
def test_after_a_power_cut_they_are_there_before_docker_and_before_any_run(
    egress: Ground, node: LabNode
) -> None:
    before = table(node)

    node.kill()
    node.start()
    egress.restore(NAME)

    assert table(node) == before
    assert sh(node, f"systemctl is-active {UNIT}").strip() == "active"
    assert "docker.service" in shown(node, UNIT, "Before").split()
    assert "network-pre.target" in shown(node, UNIT, "Before").split()
    loaded_us, started_us = (
        int(shown(node, unit, f"ExecMain{moment}TimestampMonotonic"))
        for unit, moment in ((UNIT, "Exit"), ("docker", "Start"))
    )
    assert 0 < loaded_us < started_us
    assert within(20, lambda: sh(node, "docker ps -q").count("\n") >= 2)
    assert in_force(egress)
    assert any(METADATA in item for item in stopped(node))
    assert changes_nothing(egress)


# To a port where nobody is, as fast as it goes.
_ONE_WAY = """
import socket
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(3000):
    asking.sendto(b"x", ("%s", 5001))
"""


@pytest.mark.slow
def test_a_flow_that_nobody_answers_is_one_connection(egress: Ground, node: LabNode) -> None:
    sh(node, f"nft reset counters table {TABLE}")

    node.exec("docker", "exec", "tenant", "python3", "-c", _ONE_WAY % PUBLIC)

    found = counted(node)
    assert (found["accept_internet"], found["drop_rate"]) == (1, 0)


@pytest.mark.slow
def test_one_that_opens_connection_upon_connection_is_slowed_down_alone(
    egress: Ground, node: LabNode
) -> None:
    rules = {"new_connections_per_s": 5}
    egress.deploy(NAME, egress=rules)
    flood = {str(number): f"tcp/{PUBLIC}/80" for number in range(60)}
    quick = {"open internet": f"tcp/{PUBLIC}/80"}

    before = counted(node)["drop_rate"]

    egress.probe(NAME, "tenant", flood)

    assert before == 0
    assert counted(node)["drop_rate"] > 0
    assert egress.probe(NAME, "sandbox", quick) == {"open internet": "reached"}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["restart", "reload"])
def test_they_follow_debians_service_that_flushes_all_rules(
    egress: Ground, nftables: LabNode, how: str
) -> None:
    before = table(nftables)

    sh(nftables, f"systemctl {how} nftables")

    # Docker's own are gone until it is restarted, so that nothing else would be reached
    assert within(SLACK_S, lambda: table(nftables) == before != "")
    assert within(
        SLACK_S, lambda: sh(nftables, f"systemctl is-active {UNIT} || true") == "active\n"
    )
    assert egress.probe(NAME, "sandbox", FORBIDDEN) == REFUSED
    assert egress.probe(NAME, "tenant", FORBIDDEN) == REFUSED
    outcome = egress.deploy(NAME)
    assert outcome.idle


@pytest.mark.slow
def test_what_one_of_ufw_and_us_stops_is_stopped_and_the_plan_names_it(
    egress: Ground, ufw: LabNode
) -> None:
    before = table(ufw)
    targets = {
        **FORBIDDEN,
        "open internet": f"tcp/{PUBLIC}/80",
        "what ufw denies": f"tcp/{GATEWAY}/{NODE_PORT}",
        "what ufw denies, v6": f"tcp/{gateway6(NAME)}/{NODE_PORT}",
    }

    sh(ufw, "ufw reload")
    found = egress.probe(NAME, "sandbox", targets)
    dry = egress.run(NAME, egress={"block": ["metadata"]}, flags=("--dry",))
    second = egress.deploy(NAME)

    stopped_by_ufw = dict.fromkeys(("what ufw denies", "what ufw denies, v6"), "timeout")
    assert found == {**REFUSED, "open internet": "reached", **stopped_by_ufw}
    assert table(ufw) == before
    assert f"[{NAME}] ufw is active and not changed: traffic that either firewall" in dry.stderr
    assert second.idle


@pytest.mark.slow
def test_a_node_whose_way_out_is_a_bridge_is_not_cut_off(egress: Ground, node: LabNode) -> None:
    sh(node, f"systemctl stop {UNIT}")
    sh(node, _MOVE, "eth0", "br0")
    try:
        egress.restore(NAME)
        outcome = egress.deploy(NAME)
        second = egress.deploy(NAME)
        inside = egress.probe(NAME, "sandbox", TARGETS)
        reached = egress.from_outside(
            {
                "sshd": f"tcp/{node.address}/22",
                "published": f"tcp/{node.address}/{PUBLISHED['tenant']}",
            }
        )
    finally:
        sh(node, _MOVE, "br0", "eth0")
        egress.restore(NAME)

    assert f"[{NAME}] br0 is not filtered: it carries the default route" in outcome.stderr
    assert second.idle
    assert inside == IN_FORCE
    assert reached == {"sshd": "reached", "published": "reached"}


@pytest.mark.slow
def test_rules_that_lock_the_controller_out_are_taken_back_even_with_force(
    egress: Ground, node: LabNode
) -> None:
    before = kept(node)

    outcome = egress.run(NAME, egress={**OWN_WAY_IN, "force": REASON})

    assert outcome.code == 1
    assert "RISK ACCEPTED: the interface connects this node to its network" in outcome.stderr
    assert "a new connection failed under the new rules" in outcome.stderr
    assert "the previous rules are active again" in outcome.stderr
    assert kept(node) == before
    assert pending(node) == []
    assert egress.probe(NAME, "sandbox", TARGETS) == IN_FORCE


@pytest.mark.slow
def test_rules_that_cut_dns_are_kept_with_force(egress: Ground, node: LabNode) -> None:
    outcome = egress.run(NAME, egress={**RULES, "dns": [], "force": REASON})

    assert outcome.code == 0, outcome.text
    assert "RISK ACCEPTED: the rules would block a resolver that Docker" in outcome.stderr
    found = egress.probe(NAME, "tenant", {"resolver": f"dns/{RESOLVER}"})
    assert found == {"resolver": "EHOSTUNREACH"}


@pytest.mark.slow
def test_a_controller_that_is_killed_is_not_waited_for_longer_than_it_was_given(
    egress: Ground, node: LabNode
) -> None:
    before = kept(node)

    with on_probation(egress, NAME, confirm_s=CONFIRM_S) as controller:
        kill(controller)
        meanwhile = egress.run(NAME, egress=NEW)
        wait_for(node, f"! test -e {CANDIDATE}", timeout_s=CONFIRM_S + SLACK_S)

    assert "new rules of another run are not confirmed yet; nothing was loaded" in meanwhile.stderr
    assert meanwhile.code == 1
    assert kept(node) == before
    assert pending(node) == []
    assert egress.probe(NAME, "sandbox", TARGETS) == IN_FORCE
    again = egress.deploy(NAME)
    assert again.idle


def shown(node: LabNode, unit: str, name: str) -> str:
    """A property of a unit's, as systemd has it."""
    return sh(node, f"systemctl show --value --property={name} {unit}").strip()


@pytest.mark.slow
def test_a_power_cut_on_probation_comes_up_with_the_old_rules(
    egress: Ground, node: LabNode
) -> None:
    before = table(node)

    with on_probation(egress, NAME, confirm_s=600):
        node.kill()
        node.start()
    egress.restore(NAME)

    assert table(node) == before
    assert egress.probe(NAME, "sandbox", TARGETS) == IN_FORCE
    mended, second = egress.deploy(NAME), egress.deploy(NAME)
    assert "new rules are not confirmed yet" in mended.stderr
    assert pending(node) == []
    assert table(node) == before
    assert second.idle
