"""The daemon.json transaction: least force, no loss, and back to what was when anything fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import pytest

from pyinfra_gvisor.lab import LabNode
from tests.node.running import (
    DEBIAN,
    ROOT,
    Fleet,
    Outcome,
    daemon_json,
    docker_info,
    no_leftovers,
    processes,
    remove_container,
    snapshot,
    start_container,
)
from tests.node.story import LIVED_IN, NODES

FILE = "/etc/docker/daemon.json"


def keys(**own: Any) -> dict[str, Any]:
    """Settings for the main job, with these keys of daemon.json besides."""
    return {
        **DEBIAN,
        "gvisor_daemon_json": {key.replace("_", "-"): value for key, value in own.items()},
    }


def dockerd_pid(node: LabNode) -> str:
    return node.exec("cat", "/run/docker.pid").stdout.strip()


def last_run(node: LabNode) -> Mapping[str, Any]:
    found: dict[str, Any] = json.loads(
        node.exec("cat", "/var/lib/pyinfra-gvisor/last-run.json").stdout
    )
    return found


def assert_as_declared(fleet: Fleet, *names: str) -> None:
    """A run sets right what is not, and the one behind it finds nothing to do."""
    first, second = fleet.run(*names), fleet.run(*names)
    assert first.code == second.code == 0, first.text + second.text
    assert second.stderr.count("No changes") == 5 * len(names)
    for name in names:
        assert no_leftovers(fleet.nodes[name]) == ""


@pytest.mark.parametrize("name", NODES)
def test_a_key_that_reloads_does_not_restart(
    converged: dict[str, LabNode], fleet: Fleet, name: str
) -> None:
    node = converged[name]
    before = dockerd_pid(node), processes(node)

    outcome = fleet.run(name, data=keys(debug=True))

    assert outcome.code == 0, outcome.text
    assert "reload (SIGHUP) is enough for: /debug" in outcome.stderr
    assert docker_info(node)["Debug"] is True
    assert (dockerd_pid(node), processes(node)) == before
    assert_as_declared(fleet, name)


@pytest.mark.parametrize("name", NODES)
def test_a_key_that_is_not_wanted_any_more_goes_and_is_not_live(
    converged: dict[str, LabNode], fleet: Fleet, name: str
) -> None:
    node = converged[name]
    text = daemon_json(node)
    fleet.run(name, data=keys(debug=True))

    outcome = fleet.run(name)

    assert outcome.code == 0, outcome.text
    assert docker_info(node)["Debug"] is False
    assert daemon_json(node) == text


@pytest.mark.parametrize("name", LIVED_IN)
def test_dockerd_that_cannot_start_gets_its_old_file_back(
    converged: dict[str, LabNode], fleet: Fleet, name: str
) -> None:
    node = converged[name]
    text, running = daemon_json(node), processes(node)

    outcome = fleet.run(name, data=keys(seccomp_profile="/nonexistent.json"))

    assert outcome.code == 1
    assert (
        f"docker.daemon_json: {FILE} on {name}: dockerd did not start; going back" in outcome.stderr
    )
    assert "/nonexistent.json" in outcome.stderr
    assert "the node runs its previous configuration" in outcome.stderr
    assert daemon_json(node) == text
    assert processes(node) == running
    assert node.exec("docker", "exec", "shop-db", "true").code == 0
    assert last_run(node)["result"] == "reverted"
    assert_as_declared(fleet, name)


@pytest.mark.parametrize("name", LIVED_IN)
def test_going_back_to_a_file_without_live_restore_ends_no_container(
    converged: dict[str, LabNode], fleet: Fleet, name: str
) -> None:
    node = converged[name]
    as_before_us(node, '{"debug": false}')
    running = processes(node)

    outcome = fleet.run(name, data=keys(seccomp_profile="/nonexistent.json"))

    assert outcome.code == 1
    assert "the node runs its previous configuration" in outcome.stderr
    assert daemon_json(node) == '{"debug": false}'
    assert docker_info(node)["LiveRestoreEnabled"] is False
    assert running.keys() == {"shop-db", "old-sandbox"}
    assert processes(node) == running
    assert_as_declared(fleet, name)
    assert processes(node) == running


def as_before_us(node: LabNode, text: str) -> None:
    """A node with containers and another's file, that has not met us."""
    node.put(FILE, text.encode())
    node.exec(
        "sh",
        "-c",
        "rm -rf /var/lib/pyinfra-gvisor; systemctl reset-failed docker; systemctl restart docker",
    )
    node.exec("docker", "start", "shop-db")
    sandbox = "docker rm -f old-sandbox; docker run -d --name old-sandbox -v /usr:/usr:ro shop:2 sleep infinity"
    assert node.exec("sh", "-c", sandbox).code == 0


@pytest.mark.parametrize("name", NODES)
def test_a_file_that_dockerd_refuses_changes_nothing_for_long(
    converged: dict[str, LabNode], fleet: Fleet, name: str
) -> None:
    node = converged[name]
    text, running, pid = daemon_json(node), processes(node), dockerd_pid(node)

    outcome = fleet.run(name, data=keys(debug="yes"))

    reason = (
        "dockerd refused to reload; going back"
        if name == "docker-20"
        else "dockerd refuses the new file"
    )
    assert outcome.code == 1
    assert f"docker.daemon_json: {FILE} on {name}: {reason}" in outcome.stderr
    assert (daemon_json(node), processes(node), dockerd_pid(node)) == (text, running, pid)
    assert_as_declared(fleet, name)


def test_a_container_that_a_restart_would_end_is_waited_for(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    node = converged["lived-in"]
    start_container(node, "deploying", "--rm", "--stop-timeout=1")
    subprocess.Popen(["docker", "exec", node.name, "sh", "-c", "sleep 6; docker stop deploying"])

    outcome = fleet.run("lived-in", data=keys(log_level="warn"))

    assert outcome.code == 0, outcome.text
    assert (
        "waited for, up to 300 s, since a restart ends --rm containers: deploying" in outcome.stderr
    )
    assert_as_declared(fleet, "lived-in")


def test_a_container_that_a_restart_would_end_is_not_ended(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    node = converged["lived-in"]
    start_container(node, "deploying", "--rm")
    before = snapshot_without_last_run(node)

    outcome = fleet.run("lived-in", data={**keys(log_level="warn"), "gvisor_restart_wait_s": 1})

    assert outcome.code == 1
    assert (
        "a restart would end deploying and they still run after 1 s; nothing was changed"
        in outcome.stderr
    )
    assert snapshot_without_last_run(node) == before
    remove_container(node, "deploying")
    assert_as_declared(fleet, "lived-in")


def snapshot_without_last_run(node: LabNode) -> str:
    """That a run was refused is written down; nothing else is."""
    return "\n".join(line for line in snapshot(node).splitlines() if "last-run.json" not in line)


def test_a_foreign_change_of_a_key_of_ours_is_set_back_and_named(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    node = converged["plain"]
    text = daemon_json(node)
    node.put(FILE, text.replace('"userland-proxy": false', '"userland-proxy": true').encode())

    outcome = fleet.run("plain")

    assert outcome.code == 0, outcome.text
    assert "changed by somebody else, and set back: /userland-proxy" in outcome.stderr
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

    outcome = fleet.run(name)

    assert outcome.code == 0, outcome.text
    assert "(already in the file, but dockerd was started without it)" in outcome.stderr
    assert_as_declared(fleet, name)


def test_a_restart_by_somebody_else_is_no_reason_for_another(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    converged["plain"].exec("sh", "-c", "systemctl reset-failed docker; systemctl restart docker")

    outcome = fleet.run("plain")

    assert outcome.stderr.count("No changes") == 5


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
        f"subprocess.run(['docker', 'exec', {node.name!r}, 'sh', '-c', 'echo >> {FILE}'], check=True)\n"
        "docker.daemon_json(wanted={'debug': True})\n"
    )

    outcome = fleet.run("plain", deploy=deploy)

    assert outcome.code == 1
    assert "somebody changed it since it was read; run again; nothing was changed" in outcome.stderr
    assert daemon_json(node) == theirs
    assert_as_declared(fleet, "plain")


def test_a_killed_controller_leaves_a_finished_node(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    node = converged["lived-in"]
    running = processes(node)
    fleet.run("lived-in", flags=("--dry",), data=keys(log_level="warn"))
    command = [
        sys.executable,
        "-m",
        "pyinfra",
        str(fleet.directory / "fleet.py"),
        "deploys/gvisor.py",
        "-y",
    ]
    controller = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True
    )
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
    fleet.run("lived-in", flags=("--dry",), data=keys(debug=True))
    command = [
        sys.executable,
        "-m",
        "pyinfra",
        str(fleet.directory / "fleet.py"),
        "deploys/gvisor.py",
        "-y",
    ]

    runs = [
        subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    ended = [(*run.communicate(), run.returncode) for run in runs]

    outcomes = [Outcome(code, out or "", err) for out, err, code in ended]
    assert 0 in [outcome.code for outcome in outcomes], outcomes[0].text + outcomes[1].text
    for outcome in outcomes:
        assert outcome.code == 0 or "somebody changed it since it was read" in outcome.stderr
    assert docker_info(node)["Debug"] is True
    assert_as_declared(fleet, "lived-in")
