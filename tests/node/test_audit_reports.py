"""What an audit leaves behind: reports on the controller, metrics on the node, nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from pyinfra_gvisor.audit.observed import audit_script
from tests.node.audits import LABELS, audit, settings, sh
from tests.node.releases import Place
from tests.node.running import RELEASE, SENTRY, Fleet, pyinfra, remove_container, start_container
from tests.node.story import NODES, channels
from tools.lab import LabNode

pytestmark = pytest.mark.usefixtures("converged")

TEXTFILES = "/var/lib/prometheus/node-exporter"
LEAKY = "docker-28"


@pytest.fixture
def bare(converged: dict[str, LabNode]) -> Iterator[LabNode]:
    """A node on which an app runs that should be in a sandbox and is not."""
    node = converged["plain"]
    start_container(node, "shop", *LABELS)
    yield node
    remove_container(node, "shop")


def test_a_fleet_is_reported_whole_with_the_host_that_could_not_be_reached(
    fleet: Fleet, bare: LabNode
) -> None:
    reports = fleet.directory / "fleet-reports"
    data = settings(report_dir=str(reports))
    fleet.run(*NODES, deploy="deploys/audit.py", data=data)
    inventory = fleet.directory / "fleet.py"
    away = {"ssh_hostname": "127.0.0.1", "ssh_port": 1, **data}
    inventory.write_text(f"{inventory.read_text()}away = [('away', {away!r})]\n")

    outcome = pyinfra(str(inventory), "deploys/audit.py", "-y")

    assert outcome.code == 1
    document = json.loads((reports / "fleet.json").read_text())
    states = {host["host"]: host["state"] for host in document["hosts"]}
    assert (states.pop("away"), states.pop("plain")) == ("unknown", "failed")
    assert set(states) == set(NODES) - {"plain"}
    assert set(states.values()) <= {"clean", "findings"}
    assert document["compliant"] is False
    assert "no connection" in next(
        host["error"] for host in document["hosts"] if host["host"] == "away"
    )
    for name in ("fleet.html", "fleet.junit.xml", "fleet.sarif"):
        assert "container-unsandboxed" in (reports / name).read_text()


def test_metrics_are_on_the_node_in_two_channels_whatever_is_found(
    fleet: Fleet, bare: LabNode
) -> None:
    sh(bare, f"mkdir -p {TEXTFILES}")
    opened = channels(bare)

    seen = audit(fleet, "plain", textfile_dir=TEXTFILES)

    assert seen.outcome.code == 1
    assert channels(bare) - opened == 2
    text = sh(bare, f"cat {TEXTFILES}/pyinfra_gvisor.prom")
    assert "gvisor_node_compliant 0\n" in text
    assert 'gvisor_findings{severity="critical"} 1\n' in text
    assert 'gvisor_containers{runtime="runc",sandboxed="false"} 1\n' in text
    assert sh(bare, f"ls -A {TEXTFILES}") == "pyinfra_gvisor.prom\n"
    sh(bare, f"rm -r {TEXTFILES}")


def test_a_sandbox_that_no_container_belongs_to_is_told(fleet: Fleet) -> None:
    with Place(fleet, LEAKY, RELEASE).sandbox() as sandbox:
        told = sh(fleet.nodes[LEAKY], audit_script(())).splitlines()
        alive = sandbox.kernel()

    (leak,) = [line for line in told if line.startswith("sandbox ")]
    assert SENTRY in leak
    assert "gVisor" in alive or "2016" in alive
