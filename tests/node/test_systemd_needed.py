"""A node without systemd, and what needs it."""

from __future__ import annotations

from pyinfra_gvisor.lab import LabNode
from tests.node.running import CURRENT, Fleet, snapshot


def test_a_firewall_is_refused_where_nothing_would_load_it_at_boot(
    nodes: dict[str, LabNode], fleet: Fleet
) -> None:
    node = nodes["sysvinit"]
    fleet.run("sysvinit")
    before = snapshot(node)

    outcome = fleet.run("sysvinit", data={**CURRENT, "gvisor_egress": {}})

    assert outcome.code == 1
    assert "the firewall needs systemd on the node, which loads it, got " in outcome.stderr
    assert snapshot(node) == before
