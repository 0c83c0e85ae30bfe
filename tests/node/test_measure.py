"""What work costs is measured under every runtime, and nothing of it is left."""

import pytest

from pyinfra_gvisor.costs import script
from pyinfra_gvisor.costs.measured import costs
from pyinfra_gvisor.costs.rows import ROWS
from pyinfra_gvisor.proof.script import within_script
from pyinfra_gvisor.report.costs import Costs
from pyinfra_gvisor.settings import Settings
from tests.arguments import Patch
from tests.node.containers import must
from tests.node.running import CURRENT, Fleet, no_leftovers
from tests.node.seeing import snapshot
from tests.node.watching import within
from tools.lab import LabNode

pytestmark = pytest.mark.usefixtures("converged")

NODE = "plain"
RUNTIMES = {"runsc": {}, "off": {"network": "none"}}
OVER_THE_NETWORK = {"small", "large", "connection"}
_BEGIN = 'setsid sh -c "$1" sh "$2" > /dev/null 2>&1 & echo $! > /run/measuring'
PROBES = "docker ps -q --filter label=pyinfra-gvisor.probe"


@pytest.fixture
def node(fleet: Fleet) -> LabNode:
    """A node with the usual runtime and one without a network."""
    fleet.deploy(NODE, data={**CURRENT, "gvisor_runtimes": RUNTIMES})
    return fleet.nodes[NODE]


def measure_script(rounds: int, monkeypatch: Patch) -> str:
    """The script for some rounds."""
    monkeypatch.setattr(script, "LEAST", rounds)
    monkeypatch.setattr(script, "MOST", rounds)
    return script.measure_script(Settings.model_validate({"gvisor_runtimes": RUNTIMES}))


def measured(node: LabNode, text: str) -> Costs:
    """What a measurement finds that runs to its end."""
    return costs(NODE, must(node, "sh", "-c", within_script(), "sh", text).splitlines(), RUNTIMES)


def test_all_rows_are_measured_and_a_killed_measurement_leaves_nothing(
    node: LabNode, monkeypatch: Patch
) -> None:
    text = measure_script(1, monkeypatch).replace("runtimes='runc ", "runtimes='missing runc ")
    before = snapshot(node)
    must(node, "sh", "-c", _BEGIN, "sh", within_script(), text)
    assert within(30, lambda: node.exec("sh", "-c", PROBES).stdout)
    must(node, "sh", "-c", "kill -9 -$(cat /run/measuring)")

    found = measured(node, text)

    assert "missing" in found.failed.pop("missing")
    assert found.failed == {}
    assert [row.id for row in found.rows] == [row.id for row in ROWS]
    for row in found.rows:
        measured_for = [cost.runtime for cost in row.costs]
        assert measured_for == (["runsc"] if row.id in OVER_THE_NETWORK else [*RUNTIMES]), row.id
        assert row.id == "idle" or row.runc > 0
    assert no_leftovers(node) == ""
    assert snapshot(node) == before
