"""
A virtual machine as a node: a kernel, modules and a boot of its own, as every server has.

``GVISOR_LAB_FLAVOURS`` names another flavour of the lab's than Debian 13 with its own Docker,
``GVISOR_LAB_ARCH`` another architecture than this machine's.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node import turns
from tests.node.conftest import LAB, lab_of
from tests.node.running import Fleet
from tools.lab import LabNode, node_specs

NAME = "vm"
FOREIGN = b'{ "max-concurrent-downloads":   5,\n\t"labels": ["rack=7"]}\n'
"""The operator's own daemon.json, with blanks of his own."""
SLOW_TIMEOUT_S = 1800
"""As long as a run may take on a node that hardly moves."""
(SPEC,) = node_specs({**os.environ, "GVISOR_LAB_KIND": "vm", "GVISOR_LAB_NODES": "1"})


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark all tests in this folder: they need the virtual machine, one after the other."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.vm)
    turns.leave_to_others(config, items)


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The machine, created for this run, and pyinfra for it."""
    with lab_of(f"{LAB}-vm", {NAME: SPEC}) as made:
        made[NAME].put("/etc/docker/daemon.json", FOREIGN)
        ran = made[NAME].exec("systemctl", "restart", "docker")
        assert ran.code == 0, ran.stderr
        yield Fleet(made, tmp_path_factory.mktemp("vm"), timeout_s=SLOW_TIMEOUT_S)


@pytest.fixture
def machine(fleet: Fleet) -> LabNode:
    """The machine."""
    return fleet.nodes[NAME]
