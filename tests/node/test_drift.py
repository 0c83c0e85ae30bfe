"""The drift command on nodes: what it says, what its exit code is, and that it only looks."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.node.running import PROVEN, ROOT, TIMEOUT_S, Outcome
from tests.node.seeing import daemon_json, snapshot
from tools.lab import LabNode

COMMAND = (sys.executable, "-m", "pyinfra_gvisor.command", "drift")
DEPLOY = "deploys/gvisor.py"
NAMES = ("lived-in", "plain")


class Drift:
    """The command, on an inventory of nodes that are as the main job left them."""

    def __init__(self, directory: Path, nodes: Mapping[str, LabNode]) -> None:
        self.hosts = {name: {**nodes[name].host_data(), "_sudo": True, **PROVEN} for name in NAMES}
        self._inventory = directory / "fleet.py"

    def run(self, *options: str) -> Outcome:
        """One run on all the hosts."""
        self._inventory.write_text(f"run = {list(self.hosts.items())!r}\n")
        ran = subprocess.run(
            [*COMMAND, f"--inventory={self._inventory}", f"--deploy={DEPLOY}", *options],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return Outcome(ran.returncode, ran.stdout, ran.stderr)


@pytest.fixture
def drift(converged: dict[str, LabNode], tmp_path: Path) -> Drift:
    return Drift(tmp_path, converged)


def hosts_of(outcome: Outcome) -> dict[str, dict[str, Any]]:
    return {host["name"]: host for host in json.loads(outcome.stdout)["hosts"]}


def names(operations: list[dict[str, str]]) -> list[str]:
    return [operation["name"] for operation in operations]


def test_a_key_edited_by_hand_is_pending_and_the_diff_shows_it_and_changes_nothing(
    drift: Drift, converged: dict[str, LabNode]
) -> None:
    node = converged["plain"]
    before = daemon_json(node)
    declared, by_hand = '"no-new-privileges": true', '"no-new-privileges": false'
    assert declared in before
    node.put("/etc/docker/daemon.json", before.replace(declared, by_hand).encode())
    edited = snapshot(node)

    people, document = drift.run("--diff"), drift.run("--diff", "--json")

    after = snapshot(node)
    node.put("/etc/docker/daemon.json", before.encode())
    assert people.code == document.code == 2, people.text
    assert after == edited
    assert people.stdout.splitlines()[-1] == "pending: 1 in-sync, 1 pending, of 2 hosts"
    diff = [line for line in people.stderr.splitlines() if "no-new-privileges" in line]
    assert any(line.startswith("[plain] -") and by_hand in line for line in diff)
    assert any(line.startswith("[plain] +") and declared in line for line in diff)
    hosts = hosts_of(document)
    assert hosts["lived-in"]["state"] == "in-sync"
    assert hosts["plain"]["state"] == "pending"
    assert "gVisor | Apply daemon.json" in names(hosts["plain"]["pending"])
    assert any(line.startswith("+") and declared in line for line in hosts["plain"]["details"])
    assert drift.run().code == 0
