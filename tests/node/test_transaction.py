"""The daemon.json transaction: least force, no loss, and back to what was when anything fails."""

from __future__ import annotations

import subprocess

import pytest

from pyinfra_gvisor.lab import LabNode
from pyinfra_gvisor.lab.recipe import resource
from tests.node.faults import wait_for
from tests.node.running import (
    Fleet,
    daemon_json,
    docker_info,
    processes,
    remove_container,
    snapshot,
    start_container,
)
from tests.node.story import ENDS
from tests.node.transactions import FILE, assert_as_declared, dockerd_pid, keys, last_run

LIVED_IN_FILE = resource("lived-in.json")
UNITS = "/etc/systemd/system"
FAILS_AT_START = {"metrics_addr": "127.0.0.1:22"}  # sshd's port


@pytest.mark.parametrize("name", ENDS)
def test_a_key_that_reloads_does_not_restart(
    converged: dict[str, LabNode], fleet: Fleet, name: str
) -> None:
    node = converged[name]
    before = dockerd_pid(node), processes(node)

    outcome = fleet.run(name, data=keys(debug=True), flags=("-y", "--diff"))

    assert outcome.code == 0, outcome.text
    assert "reload (SIGHUP) applies: /debug" in outcome.stderr
    assert docker_info(node)["Debug"] is True
    assert (dockerd_pid(node), processes(node)) == before
    assert_as_declared(fleet, name)


@pytest.mark.parametrize("name", ENDS)
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


@pytest.mark.parametrize("name", ENDS)
def test_dockerd_that_cannot_start_gets_its_old_file_back(
    converged: dict[str, LabNode], fleet: Fleet, name: str
) -> None:
    node = converged[name]
    text, running = daemon_json(node), processes(node)

    outcome = fleet.run(name, data=keys(**FAILS_AT_START))

    assert outcome.code == 1
    assert (
        f"docker.daemon_json: {FILE} on {name}: dockerd did not start; rolling back"
        in outcome.stderr
    )
    assert "address already in use" in outcome.stderr
    assert "the node runs its previous configuration" in outcome.stderr
    assert daemon_json(node) == text
    assert processes(node) == running
    assert node.exec("docker", "exec", "shop-db", "true").code == 0
    assert last_run(node)["result"] == "reverted"
    assert_as_declared(fleet, name)


@pytest.mark.parametrize("name", ["docker-29"])
def test_going_back_to_a_file_without_live_restore_ends_no_container(
    converged: dict[str, LabNode], fleet: Fleet, name: str
) -> None:
    node = converged[name]
    as_before_us(node, '{"debug": false}')
    running = processes(node)

    outcome = fleet.run(name, data=keys(**FAILS_AT_START))

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
        "docker rm -f old-sandbox;"
        "if ls /etc/systemd/system/pyinfra-gvisor-scripts.path; then"
        "    systemctl disable --now pyinfra-gvisor-scripts.path;"
        "    rm /etc/systemd/system/pyinfra-gvisor-scripts.*; systemctl daemon-reload; fi;"
        "rm -rf /var/lib/pyinfra-gvisor; systemctl reset-failed docker; systemctl restart docker",
    )
    node.exec("docker", "start", "shop-db")
    runtime = "--runtime=runsc" if "runtimeArgs" in text else ""
    run = f"docker run -d {runtime} --name old-sandbox -v /usr:/usr:ro shop:2 sleep infinity"
    assert node.exec("sh", "-c", run).code == 0


@pytest.mark.parametrize("name", ENDS)
def test_a_file_that_dockerd_refuses_changes_nothing_for_long(
    converged: dict[str, LabNode], fleet: Fleet, name: str
) -> None:
    node = converged[name]
    text, running, pid = daemon_json(node), processes(node), dockerd_pid(node)

    labels = ["api-key=hunter2-a", "api-key=hunter2-b"]  # dockerd quotes both when it refuses them

    outcome = fleet.run(name, data=keys(labels=labels))

    reason = (
        "dockerd refused to reload; rolling back"
        if name == "docker-20"
        else "dockerd refuses the new file"
    )
    assert outcome.code == 1
    assert f"docker.daemon_json: {FILE} on {name}: {reason}" in outcome.stderr
    assert "conflict labels for api-key=*** and api-key=***" in outcome.stderr
    assert "hunter2" not in outcome.text
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
    said = "--rm containers, which the restart waits for up to 300 s: deploying"
    assert said in outcome.stderr
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
        "a restart of dockerd would end the --rm containers deploying, which still run after 1 s; "
        "nothing was changed" in outcome.stderr
    )
    assert snapshot_without_last_run(node) == before
    remove_container(node, "deploying")
    assert_as_declared(fleet, "lived-in")


def snapshot_without_last_run(node: LabNode) -> str:
    """That a run was refused is written down; nothing else is."""
    return "\n".join(line for line in snapshot(node).splitlines() if "last-run.json" not in line)


@pytest.mark.parametrize("name", ["docker-29"])
def test_a_sandbox_of_the_old_form_outlives_restarts_that_are_not_ours(
    converged: dict[str, LabNode], fleet: Fleet, name: str
) -> None:
    node = converged[name]
    as_before_us(node, LIVED_IN_FILE)
    assert fleet.run(name).code == 0
    sandbox = processes(node)["old-sandbox"]
    assert "runsc-sandbox" in node.exec("cat", f"/proc/{sandbox}/cmdline").stdout
    assert node.exec("ls", f"{UNITS}/pyinfra-gvisor-scripts.path").code == 0

    for _ in range(2):
        node.exec("sh", "-c", "systemctl reset-failed docker; systemctl restart docker")
        assert node.exec("docker", "exec", "old-sandbox", "true").code == 0
        node.exec("sh", "-c", "systemctl reload docker; sleep 1")
        assert node.exec("docker", "exec", "old-sandbox", "true").code == 0

    assert processes(node)["old-sandbox"] == sandbox
    assert node.exec("docker", "restart", "-t", "2", "old-sandbox").code == 0
    node.exec("sh", "-c", "systemctl reset-failed docker; systemctl restart docker; sleep 1")
    assert node.exec("docker", "exec", "old-sandbox", "true").code == 0
    wait_for(node, f"! ls {UNITS} | grep pyinfra")
    assert_as_declared(fleet, name)
