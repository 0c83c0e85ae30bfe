"""Rules that would lock out, and rules that nobody confirms: what was there before holds."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.lab import LabNode
from tests.node.audits import sh
from tests.node.egress_faults import (
    CANDIDATE,
    NEW,
    kill,
    on_probation,
    pending,
)
from tests.node.egress_nodes import (
    METADATA,
    PUBLIC,
    PUBLISHED,
    RESOLVER,
    RULES,
    UNIT,
    Ground,
    kept,
    shell,
    table,
)
from tests.node.faults import wait_for

NAME = "docker-26"
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
SLACK_S = 12  # for a busy machine

TARGETS = {"metadata": f"tcp/{METADATA}/80", "open internet": f"tcp/{PUBLIC}/80"}
AS_BEFORE = {"metadata": "EHOSTUNREACH", "open internet": "reached"}


@pytest.fixture
def node(egress: Ground) -> LabNode:
    """A node with rules, and with containers behind them."""
    return egress.firewalled(NAME)


@pytest.mark.slow
def test_a_node_whose_way_out_is_a_bridge_is_not_cut_off(egress: Ground, node: LabNode) -> None:
    sh(node, f"systemctl stop {UNIT}")
    shell(node, _MOVE, "eth0", "br0")
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
        shell(node, _MOVE, "br0", "eth0")
        egress.restore(NAME)

    assert f"[{NAME}] br0 is not filtered: it carries the default route" in outcome.stderr
    assert second.idle
    assert inside == AS_BEFORE
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
    assert egress.probe(NAME, "sandbox", TARGETS) == AS_BEFORE


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
    assert egress.probe(NAME, "sandbox", TARGETS) == AS_BEFORE
    again = egress.deploy(NAME)
    assert again.idle


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
    assert egress.probe(NAME, "sandbox", TARGETS) == AS_BEFORE
    mended, second = egress.deploy(NAME), egress.deploy(NAME)
    assert "new rules are not confirmed yet" in mended.stderr
    assert pending(node) == []
    assert table(node) == before
    assert second.idle
