"""Rollback: our keys and the release as they were, everybody else's as they are."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from pyinfra_gvisor.lab import LabNode
from pyinfra_gvisor.proof.checks import asked_of
from pyinfra_gvisor.runtimes.profiles import Runtime
from tests.node.faults import PENDING, Faults
from tests.node.old_runsc import OLD
from tests.node.proving import rows
from tests.node.running import (
    WITH_ROWS,
    Fleet,
    daemon_json,
    docker_info,
    no_leftovers,
    processes,
    remove_container,
    snapshot,
    start_container,
)
from tests.node.transactions import FILE, UNPROVEN, assert_as_declared, keys

pytestmark = pytest.mark.slow

ROLLBACK = "deploys/rollback.py"
NEVER = {"gvisor_proof": "never"}
OTHER_FLAG = {"gvisor_runtimes": {"runsc": {"network": "host", "overlay": "self"}}}
FOREIGN = '{\n   "shutdown-timeout" : 20,'


def numbers(node: LabNode) -> list[int]:
    """The generations that the node keeps, oldest first."""
    listed = node.exec("ls", "/var/lib/pyinfra-gvisor/generations").stdout
    return sorted(int(name) for name in listed.split())


def wrapper(node: LabNode) -> str:
    """What the live daemon starts for runsc."""
    return str(docker_info(node)["Runtimes"]["runsc"]["path"])


def to(number: int, **more: Any) -> dict[str, Any]:
    return {**UNPROVEN, "gvisor_generation": number, **more}


def assert_second_changes_nothing(fleet: Fleet, name: str, data: dict[str, Any]) -> None:
    before = snapshot(fleet.nodes[name])
    second = fleet.run(name, deploy=ROLLBACK, data=data)
    assert second.code == 0, second.text
    assert not re.search(r"\]\s+Success", second.stderr), second.text
    assert snapshot(fleet.nodes[name]) == before
    assert no_leftovers(fleet.nodes[name]) == ""


@pytest.mark.parametrize("name", ["docker-29"])
def test_it_goes_back_one_change_and_keeps_what_others_did(
    converged: dict[str, LabNode], fleet: Fleet, name: str
) -> None:
    node = converged[name]
    fleet.run(name, data=keys(debug=True))
    text, path, running = daemon_json(node), wrapper(node), processes(node)
    forward = fleet.run(name, data={**keys(debug=False, log_level="warn"), **OTHER_FLAG})
    assert wrapper(node) != path, forward.text
    node.put(FILE, daemon_json(node).replace("{", FOREIGN, 1).encode())

    outcome = fleet.run(name, flags=WITH_ROWS, deploy=ROLLBACK)

    assert outcome.code == 0, outcome.text
    assert daemon_json(node) == text.replace("{", FOREIGN, 1)
    assert wrapper(node) == path
    assert docker_info(node)["Debug"] is True
    assert set(rows(outcome)) == {check.id for check in asked_of(Runtime())}, "proven"
    assert processes(node) == running
    assert node.exec("docker", "exec", "shop-db", "true").code == 0
    assert node.exec("docker", "exec", "old-sandbox", "true").code == 0
    assert_second_changes_nothing(fleet, name, UNPROVEN)
    node.put(FILE, daemon_json(node).replace(FOREIGN, "{", 1).encode())
    assert_as_declared(fleet, name)


def test_it_goes_to_the_generation_that_is_named(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    node = converged["plain"]
    fleet.run("plain", data=keys(debug=True))
    text = daemon_json(node)
    one = fleet.run("plain", data=keys(max_download_attempts=6))
    number = numbers(node)[-1]
    two = fleet.run("plain", data=keys(max_download_attempts=7))
    assert one.code == two.code == 0, one.text + two.text

    outcome = fleet.run("plain", deploy=ROLLBACK, data=to(number))

    assert outcome.code == 0, outcome.text
    assert f"generation {number}: until " in outcome.stderr
    assert daemon_json(node) == text
    assert docker_info(node)["Debug"] is True
    assert_second_changes_nothing(fleet, "plain", to(number))
    assert_as_declared(fleet, "plain")


def test_the_oldest_generation_can_be_gone_to_and_asked_for_again(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    node = converged["plain"]
    before = numbers(node)[-1]  # what these point at other tests may have taken away
    while numbers(node)[0] <= before:
        fleet.run("plain", data=keys(max_download_attempts=10 + numbers(node)[-1]))
    oldest = numbers(node)[0]

    outcome = fleet.run("plain", deploy=ROLLBACK, data=to(oldest))

    assert outcome.code == 0, outcome.text
    assert_second_changes_nothing(fleet, "plain", to(oldest))
    assert_as_declared(fleet, "plain")


@pytest.mark.parametrize(
    "flags", [pytest.param(("-y",), id="real"), pytest.param(("--dry",), id="dry")]
)
def test_an_unknown_generation_is_refused_with_those_that_there_are(
    converged: dict[str, LabNode], fleet: Fleet, flags: tuple[str, ...]
) -> None:
    node = converged["plain"]
    fleet.run("plain", data=keys(debug=True))
    before = snapshot(node)

    outcome = fleet.run("plain", deploy=ROLLBACK, data=to(9999), flags=flags)

    assert outcome.code == 1
    assert "no such generation, got 9999; set gvisor_generation to one of " in outcome.stderr
    assert f"{numbers(node)[-1]} (until 20" in outcome.stderr
    assert snapshot(node) == before


def test_a_dry_rollback_changes_nothing_and_shows_the_difference(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    node = converged["plain"]
    fleet.run("plain", data=UNPROVEN)
    fleet.run("plain", data=keys(debug=True))
    before = snapshot(node)

    outcome = fleet.run("plain", deploy=ROLLBACK, data=UNPROVEN, flags=("--dry", "--diff"))

    assert outcome.code == 0, outcome.text
    assert '-    "debug": true' in outcome.stderr
    assert snapshot(node) == before
    assert_as_declared(fleet, "plain")


def test_a_release_with_a_known_escape_is_not_gone_back_to_without_a_reason(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    node = converged["plain"]
    old, new = fleet.run("plain", data=OLD | NEVER), fleet.run("plain", data=UNPROVEN)
    assert old.code == new.code == 0, old.text + new.text
    before = snapshot(node)

    outcome = fleet.run("plain", deploy=ROLLBACK, data=UNPROVEN)

    assert outcome.code == 1
    assert f"release {OLD['gvisor_release']} has a known escape" in outcome.stderr
    assert snapshot(node) == before
    assert_as_declared(fleet, "plain")


def test_it_goes_back_to_what_was_before_us(converged: dict[str, LabNode], fleet: Fleet) -> None:
    node = converged["plain"]
    node.exec("sh", "-c", f"rm -rf /var/lib/pyinfra-gvisor {FILE}; systemctl reset-failed docker")
    node.exec("systemctl", "restart", "docker")
    fleet.run("plain", data=UNPROVEN)
    start_container(node, "tenant", "--runtime=runsc")
    running = processes(node)

    before = snapshot(node)

    refused = fleet.run("plain", deploy=ROLLBACK, data=UNPROVEN)
    after_refusal = snapshot(node)
    keep = {**UNPROVEN, "gvisor_keep_running": True}
    kept = fleet.run("plain", deploy=ROLLBACK, data=keep)
    runtimes, still_running = json.loads(daemon_json(node)), processes(node)
    restarted = node.exec("docker", "restart", "-t", "2", "tenant")
    remove_container(node, "tenant")
    outcome = fleet.run("plain", deploy=ROLLBACK, data=UNPROVEN)
    second = fleet.run("plain", deploy=ROLLBACK, data=UNPROVEN)

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


def interrupt(fleet: Fleet, name: str, wanted: dict[str, Any]) -> None:
    """Somebody's change, killed when it was made and not yet seen to be in force."""
    controller = Faults(fleet, name).start(wanted, step="look")
    kill = "systemctl kill -s KILL 'pyinfra-gvisor-*'; rm /run/at-step"
    fleet.nodes[name].exec("sh", "-c", kill)
    controller.wait(timeout=60)
    assert fleet.nodes[name].exec("test", "-e", PENDING).code == 0


def test_an_interrupted_change_is_undone_and_nothing_more(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    node = converged["plain"]
    fleet.run("plain", data=keys(debug=True))
    text, kept = daemon_json(node), numbers(node)
    interrupt(fleet, "plain", {"shutdown-timeout": 20})

    outcome = fleet.run("plain", deploy=ROLLBACK, data=UNPROVEN)

    assert outcome.code == 0, outcome.text
    assert daemon_json(node) == text
    assert json.loads(text)["debug"] is True
    assert numbers(node) == kept
    assert_as_declared(fleet, "plain")


def test_an_interrupted_change_that_is_undone_is_not_live_any_more(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    node = converged["plain"]
    fleet.run("plain", data=UNPROVEN)
    interrupt(fleet, "plain", {"labels": ["run=interrupted"]})

    fleet.run("plain", deploy=ROLLBACK, data=UNPROVEN)

    assert docker_info(node)["Labels"] == []
