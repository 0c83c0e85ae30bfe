"""Rollback: our keys and the release as they were, everybody else's as they are."""

import json
import re
from typing import Any

import pytest

from pyinfra_gvisor.proof.checks import asked_of
from pyinfra_gvisor.runtimes.profiles import Runtime
from tests.node.containers import remove_container, start_container
from tests.node.faults import PENDING, Faults
from tests.node.proving import rows
from tests.node.running import CURRENT, PROVEN, WITH_ROWS, Fleet
from tests.node.seeing import daemon_json, docker_info, no_leftovers, processes, snapshot
from tests.node.transactions import FILE, assert_as_declared, keys
from tools.lab import LabNode

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("converged")]

ROLLBACK = "deploys/rollback.py"
OTHER_FLAG = {"gvisor_runtimes": {"runsc": {"network": "host", "overlay": "self"}}}
FOREIGN = '{\n   "shutdown-timeout" : 20,'


def wrapper(node: LabNode) -> str:
    """What the live daemon starts for runsc."""
    return str(docker_info(node)["Runtimes"]["runsc"]["path"])


def test_it_goes_back_one_change_and_keeps_what_others_did(fleet: Fleet) -> None:
    name = "docker-29"
    node = fleet.nodes[name]
    fleet.run(name, data=keys(debug=True))
    text, path, running = daemon_json(node), wrapper(node), processes(node)
    forward = fleet.run(name, data={**keys(debug=False, log_level="warn"), **OTHER_FLAG})
    assert wrapper(node) != path, forward.text
    node.put(FILE, daemon_json(node).replace("{", FOREIGN, 1).encode())

    outcome = fleet.deploy(name, flags=WITH_ROWS, deploy=ROLLBACK, data=PROVEN)

    assert daemon_json(node) == text.replace("{", FOREIGN, 1)
    assert wrapper(node) == path
    assert docker_info(node)["Debug"] is True
    assert set(rows(outcome)) == {check.id for check in asked_of(Runtime())}, "proven"
    assert processes(node) == running
    assert node.exec("docker", "exec", "shop-db", "true").code == 0
    assert node.exec("docker", "exec", "old-sandbox", "true").code == 0
    before = snapshot(node)
    second = fleet.deploy(name, deploy=ROLLBACK, data=CURRENT)
    assert not re.search(r"\]\s+Success", second.stderr), second.text
    assert snapshot(node) == before
    assert no_leftovers(node) == ""
    node.put(FILE, daemon_json(node).replace(FOREIGN, "{", 1).encode())
    assert_as_declared(fleet, name)


def test_it_goes_back_to_what_was_before_us(fleet: Fleet) -> None:
    node = fleet.nodes["plain"]
    node.exec("sh", "-c", f"rm -rf /var/lib/pyinfra-gvisor {FILE}; systemctl reset-failed docker")
    node.exec("systemctl", "restart", "docker")
    fleet.run("plain", data=CURRENT)
    start_container(node, "tenant", "--runtime=runsc")
    running = processes(node)

    before = snapshot(node)

    refused = fleet.run("plain", deploy=ROLLBACK, data=CURRENT)
    after_refusal = snapshot(node)
    keep = {**CURRENT, "gvisor_keep_running": True}
    kept = fleet.run("plain", deploy=ROLLBACK, data=keep)
    runtimes, still_running = json.loads(daemon_json(node)), processes(node)
    restarted = node.exec("docker", "restart", "-t", "2", "tenant")
    remove_container(node, "tenant")
    outcome = fleet.run("plain", deploy=ROLLBACK, data=CURRENT)
    second = fleet.run("plain", deploy=ROLLBACK, data=CURRENT)

    assert refused.code == 1
    assert "runsc (these need it to start: tenant); keep these runtimes" in refused.stderr
    assert after_refusal == before
    assert kept.code == outcome.code == second.code == 0, kept.text + outcome.text + second.text
    assert list(runtimes) == ["runtimes"]
    assert list(runtimes["runtimes"]) == ["runsc"]
    assert still_running == running
    assert (restarted.code, restarted.stderr) == (0, "")
    assert node.exec("test", "-e", FILE).code == 1
    assert "runsc" not in docker_info(node)["Runtimes"]
    assert docker_info(node)["LiveRestoreEnabled"] is False
    assert second.stderr.count("No changes") == 1
    assert_as_declared(fleet, "plain")


def numbers(node: LabNode) -> list[int]:
    """The generations that the node keeps, oldest first."""
    listed = node.exec("ls", "/var/lib/pyinfra-gvisor/generations").stdout
    return sorted(int(name) for name in listed.split())


def interrupt(fleet: Fleet, name: str, wanted: dict[str, Any]) -> None:
    """Somebody's change, killed when it was made and not yet seen to be in force."""
    controller = Faults(fleet, name).start(wanted, step="look")
    kill = "systemctl kill -s KILL 'pyinfra-gvisor-*'; rm /run/at-step"
    fleet.nodes[name].exec("sh", "-c", kill)
    controller.wait(timeout=60)
    assert fleet.nodes[name].exec("test", "-e", PENDING).code == 0


def test_an_interrupted_change_is_undone_and_nothing_more(fleet: Fleet) -> None:
    node = fleet.nodes["plain"]
    fleet.run("plain", data=keys(debug=True))
    text, kept = daemon_json(node), numbers(node)
    interrupt(fleet, "plain", {"labels": ["run=interrupted"]})

    outcome = fleet.run("plain", deploy=ROLLBACK, data=CURRENT)

    assert outcome.code == 0, outcome.text
    assert daemon_json(node) == text
    assert docker_info(node)["Labels"] == []
    assert docker_info(node)["Debug"] is True
    assert numbers(node) == kept
    assert_as_declared(fleet, "plain")
