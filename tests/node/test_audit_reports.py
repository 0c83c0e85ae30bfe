"""What an audit leaves behind: reports on the controller, metrics on the node, nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pyinfra_gvisor.lab import LabNode
from tests.node.audits import LABELS, Audit, audit, settings, sh
from tests.node.releases import Place, Sandbox
from tests.node.running import (
    RELEASE,
    Fleet,
    pyinfra,
    remove_container,
    snapshot,
    start_container,
)
from tests.node.story import NODES, channels

TEXTFILES = "/var/lib/prometheus/node-exporter"


LEAKY = "docker-28"
LEAKED_S = 61  # a younger sandbox may belong to a container that is being made


@dataclass(frozen=True)
class Leaked:
    """A sandbox without a container, and an audit when it was young."""

    sandbox: Sandbox
    young: Audit
    old_enough_s: float


@pytest.fixture(scope="module", autouse=True)
def leaked(
    brought: dict[str, LabNode], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Leaked]:
    """Begun before the other tests, during which it comes of age."""
    fleet = Fleet(brought, tmp_path_factory.mktemp("leaked"))
    with Place(fleet, LEAKY, RELEASE).sandbox() as sandbox:
        began_s = time.monotonic()
        yield Leaked(sandbox, audit(fleet, LEAKY), began_s + LEAKED_S)


@pytest.fixture
def bare(converged: dict[str, LabNode]) -> Iterator[LabNode]:
    """A node on which an app runs that should be in a sandbox and is not."""
    node = converged["plain"]
    start_container(node, "shop", *LABELS)
    yield node
    remove_container(node, "shop")


def test_a_fleet_is_reported_whole_with_the_host_that_could_not_be_reached(
    converged: dict[str, LabNode], fleet: Fleet, bare: LabNode
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


def test_a_dry_run_says_what_is_found_and_writes_nothing(fleet: Fleet, bare: LabNode) -> None:
    reports = fleet.directory / "dry-reports"
    before = snapshot(bare)

    data = settings(report_dir=str(reports), textfile_dir="/root")
    outcome = fleet.run("plain", deploy="deploys/audit.py", data=data, flags=("--dry",))

    assert outcome.code == 0, outcome.text
    assert "CRITICAL container-unsandboxed shop" in outcome.stderr
    assert snapshot(bare) == before
    assert not reports.exists()


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


def test_a_directory_for_metrics_that_is_not_there_fails_the_host_and_is_named(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    seen = audit(fleet, "plain", textfile_dir="/nowhere")

    assert seen.outcome.code == 1
    said = "gvisor_textfile_dir on plain: /nowhere is not a directory; "
    assert said in seen.outcome.stderr
    assert seen.report["compliant"] is True


def test_the_deploy_reports_what_it_leaves(fleet: Fleet, bare: LabNode) -> None:
    reports = fleet.directory / "deploy-reports"

    outcome = fleet.run("plain", data=settings(report_dir=str(reports)))

    assert outcome.code == 0, outcome.text
    report = json.loads((reports / "hosts" / "plain.json").read_text())
    assert (report["by"], report["state"]) == ("deploy", "failed")


def test_a_runtime_whose_wrapper_starts_runc_fools_nobody(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    node = converged["plain"]
    wrapper = sh(node, f"echo /opt/gvisor/runtimes/runsc-{RELEASE}-*").split()[0]
    kept = sh(node, f"cat {wrapper}")
    node.put(wrapper, b'#!/bin/sh\nexec runc "$@"\n', mode=0o755)
    start_container(node, "shop", "--runtime=runsc", *LABELS)

    seen = audit(fleet, "plain")
    remove_container(node, "shop")
    node.put(wrapper, kept.encode(), mode=0o755)

    assert seen.outcome.code == 1
    assert seen.found[f"wrapper-changed {wrapper}"]["severity"] == "critical"
    evidence = seen.found["container-unsandboxed shop"]["evidence"]
    assert evidence.startswith("runs directly on the host kernel: its process is not ")
    assert seen.container("shop")["asked"] == "runsc"
    assert seen.container("shop")["sandboxed"] is False
    assert audit(fleet, "plain").found == {}


@pytest.mark.slow
def test_a_sandbox_that_no_container_belongs_to_is_found_and_left_alone(
    fleet: Fleet, leaked: Leaked
) -> None:
    while time.monotonic() < leaked.old_enough_s:
        time.sleep(1)

    seen = audit(fleet, LEAKY)
    alive = leaked.sandbox.kernel()

    ids = [key.split()[0] for key in seen.found]
    assert "sandbox-leaked" not in [key.split()[0] for key in leaked.young.found]
    assert ids.count("sandbox-leaked") == 1
    assert seen.outcome.code == 0, "a warning"
    assert "gVisor" in alive or "2016" in alive
