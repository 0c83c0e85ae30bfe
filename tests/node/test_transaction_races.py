"""The daemon.json transaction among others: people, other runs, a controller that dies."""

from __future__ import annotations

import os
import signal
import time

import pytest

from pyinfra_gvisor.lab import LabNode
from tests.node.running import Fleet, Outcome, daemon_json, docker_info, processes
from tests.node.transactions import FILE, assert_as_declared, keys


def test_a_foreign_change_of_a_key_of_ours_is_set_back_and_named(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    node = converged["plain"]
    text = daemon_json(node)
    node.put(FILE, text.replace('"userland-proxy": false', '"userland-proxy": true').encode())

    outcome = fleet.run("plain")

    assert outcome.code == 0, outcome.text
    said = "changed by somebody else, set as declared again: /userland-proxy"
    assert said in outcome.stderr
    assert daemon_json(node) == text
    assert_as_declared(fleet, "plain")


def test_a_foreign_key_that_comes_later_stays(converged: dict[str, LabNode], fleet: Fleet) -> None:
    node = converged["plain"]
    text = daemon_json(node).replace("{", '{\n  "registry-mirrors" :["https://mirror.example"],', 1)
    node.put(FILE, text.encode())

    outcome = fleet.run("plain")

    assert outcome.code == 0, outcome.text
    assert daemon_json(node) == text


@pytest.mark.parametrize("name", ["plain", "docker-20"])
def test_a_restart_that_is_owed_is_found_from_state(
    converged: dict[str, LabNode], fleet: Fleet, name: str
) -> None:
    node = converged[name]
    text = daemon_json(node)
    node.put(FILE, text.replace('"userland-proxy": false', '"userland-proxy": true').encode())
    node.exec("sh", "-c", "systemctl reset-failed docker; systemctl restart docker")
    node.put(FILE, text.encode())

    outcome = fleet.run(name, flags=("-y", "--diff"))

    assert outcome.code == 0, outcome.text
    assert "(already in the file, but dockerd was started without them)" in outcome.stderr
    assert_as_declared(fleet, name)


def test_a_restart_by_somebody_else_is_no_reason_for_another(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    fleet.run("plain")
    converged["plain"].exec("sh", "-c", "systemctl reset-failed docker; systemctl restart docker")

    outcome = fleet.run("plain")

    assert outcome.idle


def test_a_file_changed_between_plan_and_apply_is_left_alone(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    node = converged["plain"]
    theirs = daemon_json(node) + "\n"
    deploy = fleet.directory / "deploy.py"
    deploy.write_text(
        "import subprocess\n"
        "from pyinfra import host\n"
        "from pyinfra_gvisor.facts.node import read_node\n"
        "from pyinfra_gvisor.operations import docker\n"
        "read_node(host)\n"
        f"command = ['docker', 'exec', {node.name!r}, 'sh', '-c', 'echo >> {FILE}']\n"
        "subprocess.run(command, check=True)\n"
        "docker.daemon_json(wanted={'debug': True}, owner='another')\n"
    )

    outcome = fleet.run("plain", deploy=deploy)

    assert outcome.code == 1
    assert (
        "the file has changed since it was read; run again; nothing was changed" in outcome.stderr
    )
    assert daemon_json(node) == theirs
    assert_as_declared(fleet, "plain")


def test_a_killed_controller_leaves_a_finished_node(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    node = converged["lived-in"]
    running = processes(node)
    controller = fleet.start("lived-in", keys(log_level="warn"))
    wait_for(node, "ls /run/pyinfra-gvisor/run.*/pid")

    os.killpg(controller.pid, signal.SIGKILL)

    controller.wait()
    wait_for(node, f"grep -q warn {FILE} && grep -q warn /var/lib/pyinfra-gvisor/applied.json")
    wait_for(node, "! ls -d /var/lib/pyinfra-gvisor/work.*")
    again = fleet.run("lived-in", data=keys(log_level="warn"))
    assert processes(node) == running
    assert "[lived-in] Success" not in again.stderr.partition("Prove isolation")[0], again.text
    node.exec("sh", "-c", "rm -rf /run/pyinfra-gvisor/run.*")
    assert_as_declared(fleet, "lived-in")


def wait_for(node: LabNode, condition: str) -> None:
    deadline = time.monotonic() + 60
    while node.exec("sh", "-c", condition).code != 0:
        assert time.monotonic() < deadline, condition
        time.sleep(0.05)


def test_two_runs_at_once_do_not_mix(converged: dict[str, LabNode], fleet: Fleet) -> None:
    node = converged["lived-in"]

    runs = [fleet.start("lived-in", keys(debug=True)) for _ in range(2)]
    ended = [(*run.communicate(), run.returncode) for run in runs]

    outcomes = [Outcome(code, out or "", err) for out, err, code in ended]
    assert 0 in [outcome.code for outcome in outcomes], outcomes[0].text + outcomes[1].text
    for outcome in outcomes:
        assert outcome.code == 0 or "the file has changed since it was read" in outcome.stderr
    assert docker_info(node)["Debug"] is True
    assert_as_declared(fleet, "lived-in")
