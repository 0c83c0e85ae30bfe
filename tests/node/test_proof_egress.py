"""The proof sees the firewall at work: what it stops, what it lets through, and what it is not."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.node import egress_server
from tests.node.audits import sh
from tests.node.conftest import LAB, lab_of
from tests.node.equipped import equipped, free_port_80
from tests.node.faults import kill
from tests.node.proving import prove, rows
from tests.node.running import PROVEN, WITH_ROWS, Fleet, Outcome
from tests.node.seeing import no_leftovers
from tests.table import table
from tools.lab import LabNode, NodeSpec

SPECS = {name: NodeSpec(equipped("debian-13")) for name in ("run", "outside")}
METADATA, PRIVATE, MAIL, DATABASE = "169.254.169.254", "10.255.255.254", "192.0.2.1", "10.9.9.5"
EGRESS: dict[str, Any] = {"allow": [{"to": DATABASE, "ports": ["5432"]}]}
DATA = {**PROVEN, "gvisor_egress": EGRESS}
STOPPED = ("egress-metadata", "egress-private", "egress-smtp", "egress-node")
EVERY = (*STOPPED, "egress-allowed")

TABLE = "inet pyinfra_gvisor"
HOME = "/opt/gvisor/egress"
LOAD, RULES = f"{HOME}/load.sh", f"{HOME}/rules.nft"
# What Docker takes the subnets of networks from that were given none, in this order:
# https://docs.docker.com/engine/network/#subnet-allocation
POOLS = (
    *(f"172.{second}.0" for second in range(17, 32)),
    *(f"192.168.{third}" for third in range(0, 256, 16)),
)
_SERVE = ("systemd-run", "--quiet", "--collect", "--unit=outside", "python3", "-c")


@dataclass(frozen=True)
class Ground:
    """A run node behind our firewall, with another that answers at whatever is forbidden."""

    node: LabNode
    fleet: Fleet
    first: Outcome

    def prove(self) -> dict[str, list[str]]:
        """The rows of the checks that are about the firewall: what was seen on each side, ok."""
        return cells(prove(self.fleet, "run", egress=EGRESS))

    def load_without(self, *kinds: str) -> None:
        """Rules that are in force as they were loaded, and let some of it through."""
        rules = "".join(f"/goto stop_{kind}$/d;" for kind in kinds)
        sh(self.node, f"sed '{rules}' {RULES} > /root/rules.nft; sh {LOAD} /root/rules.nft")

    def say_stopped_before(self) -> None:
        """As if earlier containers, with whatever address probes get, had been stopped there."""
        members = [
            f"{network}.{last} . {to} . tcp . {port}"
            for network in POOLS
            for last in range(2, 6)
            for to, port in ((METADATA, 80), (PRIVATE, 80), (MAIL, 25), (f"{network}.1", 22))
        ]
        sh(self.node, f"nft add element {TABLE} stopped4 '{{ {', '.join(members)} }}'")

    def members(self, name: str) -> str:
        """What is in a set of the rules."""
        _, _, found = sh(self.node, f"nft list set {TABLE} {name}").partition("elements = ")
        return found


def cells(outcome: Outcome, runtime: str = "runsc") -> dict[str, list[str]]:
    """The same of a run."""
    found = rows(outcome, runtime)
    assert set(EVERY) <= set(found), outcome.text
    return {check: re.split(r" {2,}", found[check].strip())[2:] for check in EVERY}


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with lab_of(f"{LAB}-proof", SPECS) as nodes:
        node, outside = nodes["run"], nodes["outside"]
        free_port_80(outside)
        for to in (METADATA, PRIVATE, MAIL, DATABASE):
            sh(outside, f"ip address replace {to}/32 dev lo")
            sh(node, f"ip route replace {to} via {outside.address}")
        if outside.exec("systemctl", "is-active", "outside").code != 0:
            server = Path(egress_server.__file__).read_text()
            ports = (f"tcp/{port}" for port in (80, 25, 5432))
            assert outside.exec(*_SERVE, server, *ports).code == 0
        fleet = Fleet(nodes, tmp_path_factory.mktemp("proof"))
        yield Ground(
            node, fleet, fleet.run("run", flags=WITH_ROWS, data={**DATA, "gvisor_proof": "always"})
        )


@pytest.fixture(autouse=True)
def restored(ground: Ground) -> Iterator[None]:
    """The rules as they were declared, whatever a test has made of them."""
    assert ground.first.code == 0, ground.first.text
    yield
    sh(ground.node, f"sh {LOAD} {RULES}")


AT_WORK = {
    **{check: ["stopped, no route", "let through, connected", "ok"] for check in STOPPED},
    "egress-allowed": ["connected", "connected", "ok"],
}


def test_a_roll_out_ends_in_seeing_the_firewall_at_work(ground: Ground) -> None:
    again = ground.fleet.run("run", data=DATA)

    assert cells(ground.first) == AT_WORK
    assert again.idle


@table("out", {"metadata-and-smtp": ("metadata", "smtp"), "private-and-node": ("private", "node")})
def test_a_rule_that_is_not_among_those_in_force_is_not_proven_to_stop_anything(
    ground: Ground, out: tuple[str, ...]
) -> None:
    ground.load_without(*out)
    ground.say_stopped_before()

    seen = ground.prove()

    outcomes = {check: cells[-1] for check, cells in seen.items()}
    through = {f"egress-{kind}" for kind in out}
    assert {check for check, word in outcomes.items() if word == "NOT PROVEN"} == through
    assert {check for check, word in outcomes.items() if word == "ok"} == {*EVERY} - through
    assert all(seen[check][0] == "by no rule, connected" for check in through)


def test_rules_that_are_not_in_force_prove_nothing_and_are_no_reason_to_prove_nothing(
    ground: Ground,
) -> None:
    sh(ground.node, f"nft delete table {TABLE}")

    seen = ground.prove()

    tried = "not in force, connected"
    assert seen == {check: [tried, tried, "NOT PROVEN"] for check in EVERY}


@pytest.mark.slow
def test_gvisors_own_network_stack_is_stopped_as_well(ground: Ground) -> None:
    outcome = prove(ground.fleet, "run", profiles={"net": {"network": "sandbox"}}, egress=EGRESS)
    sh(ground.node, "rm -f /opt/gvisor/runtimes/net-*")

    assert cells(outcome, "net") == AT_WORK


# Kills the proof on the node once its control is let through; with the brackets not itself.
_KILL = rf"""
end=$(($(date +%s) + 60))
until nft list set {TABLE} controls4 | grep -q elements; do
    if [ "$(date +%s)" -gt "$end" ]; then exit 1; fi
    sleep 0.02
done
pkill -KILL -x timeout
pkill -KILL -f 'label=pyinfra-gvisor[.]probe'
"""


def test_a_killed_proof_leaves_nobody_let_through_that_the_next_does_not_take_back(
    ground: Ground,
) -> None:
    controller = ground.fleet.start("run", {**DATA, "gvisor_proof": "always"})

    sh(ground.node, _KILL)
    kill(controller)
    left = ground.members("controls4")
    seen = ground.prove()

    assert "expires" in left
    assert seen == AT_WORK
    assert [ground.members(name) for name in ("controls4", "passed4", "stopped4")] == ["", "", ""]
    assert [line for line in no_leftovers(ground.node).split() if "/" not in line] == []
