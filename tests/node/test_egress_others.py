"""Rules beside those of others, and what goes when everything of this package goes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pyinfra_gvisor.lab import LabNode
from tests.node.audits import sh
from tests.node.egress_nodes import (
    GATEWAY,
    METADATA,
    METADATA6,
    NODE_PORT,
    PRIVATE,
    PUBLIC,
    UNIT,
    Ground,
    gateway6,
    table,
)
from tests.node.watching import within

pytestmark = pytest.mark.slow

NAME = "docker-26"
FORBIDDEN = {
    "metadata": f"tcp/{METADATA}/80",
    "metadata, v6": f"tcp/{METADATA6}/80",
    "private host": f"tcp/{PRIVATE}/80",
    "sshd by the gateway": f"tcp/{GATEWAY}/22",
}
REFUSED = {**dict.fromkeys(FORBIDDEN, "EHOSTUNREACH"), "metadata, v6": "EACCES"}
SLACK_S = 10

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
