"""Rules outlive what happens on a node, and what takes them away is seen and put right."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.lab import LabNode
from pyinfra_gvisor.parts.keeper.files import NAME as KEEPER
from tests.node.audits import sh
from tests.node.egress_nodes import (
    CONTAINERS,
    GATEWAY,
    METADATA,
    METADATA6,
    PRIVATE,
    PUBLIC,
    TABLE,
    UNIT,
    Ground,
    at_once,
    counted,
    stopped,
    table,
)
from tests.node.egress_nodes import (
    NAME as OUTSIDE,
)
from tests.node.running import remove_container, start_container
from tests.node.watching import keeper_says, within

NAME = "docker-26"
BRIDGES = ("evil0", "e*", 'q"q', "a\\b", "\u00e9")

TARGETS = {
    "metadata": f"tcp/{METADATA}/80",
    "metadata, v6": f"tcp/{METADATA6}/80",
    "private host": f"tcp/{PRIVATE}/80",
    "sshd by the gateway": f"tcp/{GATEWAY}/22",
    "open internet": f"tcp/{PUBLIC}/80",
    "name outside": f"name/{OUTSIDE}",
}
IN_FORCE = {
    "metadata": "EHOSTUNREACH",
    "metadata, v6": "EACCES",
    "private host": "EHOSTUNREACH",
    "sshd by the gateway": "EHOSTUNREACH",
    "open internet": "reached",
    "name outside": PUBLIC,
}


@pytest.fixture
def node(egress: Ground) -> LabNode:
    """A node with rules, and with containers behind them."""
    return egress.firewalled(NAME)


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
            made = node.exec("docker", "network", "create", "--opt", option, name)
            assert made.code == 0, made.stderr
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

    expected = {
        **dict.fromkeys(targets, "EHOSTUNREACH"),
        "open internet": "reached",
    }
    assert after == dict.fromkeys(names, expected)
    assert second
    assert before == after


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


def shown(node: LabNode, unit: str, name: str) -> str:
    """A property of a unit's, as systemd has it."""
    return sh(node, f"systemctl show --value --property={name} {unit}").strip()
