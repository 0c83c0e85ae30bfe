"""What a node cannot be is refused before the first change, on nodes that have never met us."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.node.conftest import LAB, SPECS, lab_of
from tests.node.running import CURRENT, OPERATIONS, Fleet, snapshot
from tests.node.test_kernel import KEPT

NODES = ("plain", "sysvinit")
NAMES = {"gvisor": {"network": "sandbox", "dns": "docker"}}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Nodes of its own."""
    with lab_of(f"{LAB}-fresh", {name: SPECS[name] for name in NODES}) as nodes:
        yield Fleet(nodes, tmp_path_factory.mktemp("fresh"))


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        pytest.param(
            "plain",
            {"gvisor_egress": {"interfaces": ["eth*"]}},
            "the node's way out is taken for an interface",
            id="a-firewall-that-locks-out",
        ),
        pytest.param(
            "sysvinit",
            {"gvisor_egress": {}},
            "the firewall needs systemd on the node, which loads it, got ",
            id="a-firewall-without-systemd",
        ),
        pytest.param(
            "sysvinit",
            {"gvisor_watch": True},
            "the watch needs systemd on the node, got ",
            id="a-watch-without-systemd",
        ),
        pytest.param(
            "plain",
            {"gvisor_watch": True, "gvisor_textfile_dir": "/srv/none"},
            "preflight: node on plain: /srv/none is no directory; make it, or leave ",
            id="metrics-for-nobody",
        ),
        pytest.param(
            "plain",
            {"gvisor_runtimes": {"runsc": {}, **NAMES}},
            "need Python's asyncio, which python3-minimal has not, got Python 3.13",
            id="a-resolver-without-its-python",
        ),
        pytest.param(
            "plain",
            {"gvisor_kernel": {"sysctls": {**KEPT["sysctls"], "net.ipv4.tcp_syncookies": "many"}}},
            "kernel.surface: net.ipv4.tcp_syncookies on plain: the kernel refuses 'many'",
            id="a-value-that-the-kernel-refuses",
        ),
    ],
)
def test_nothing_is_changed(fresh: Fleet, name: str, settings: dict[str, Any], said: str) -> None:
    node = fresh.nodes[name]
    before = snapshot(node)

    outcome = fresh.run(name, data={**CURRENT, **settings})

    assert outcome.code == 1
    assert said in outcome.stderr
    assert snapshot(node) == before


def test_what_a_node_without_systemd_can_be_it_becomes(fresh: Fleet) -> None:
    first, second = fresh.run("sysvinit"), fresh.run("sysvinit")

    assert first.code == second.code == 0, first.text + second.text
    assert second.stderr.count("No changes") == OPERATIONS
