"""The daemon.json transaction: least force, no loss, and back to what was when anything fails."""

import pytest

from tests.node.containers import remove_container, start_container
from tests.node.faults import wait_for
from tests.node.running import Fleet, Outcome
from tests.node.seeing import daemon_json, docker_info, processes, snapshot
from tests.node.story import ENDS
from tests.node.transactions import FILE, assert_as_declared, dockerd_pid, keys
from tools.lab import LabNode
from tools.lab.recipe import resource

pytestmark = pytest.mark.usefixtures("converged")

LIVED_IN_FILE = resource("lived-in.json")
UNITS = "/etc/systemd/system"
FAILS_AT_START = {"metrics_addr": "127.0.0.1:22"}  # sshd's port


@pytest.mark.parametrize("name", ENDS)
def test_a_key_that_reloads_does_not_restart_and_is_not_live_once_it_is_not_wanted(
    fleet: Fleet, name: str
) -> None:
    node = fleet.nodes[name]
    text, before = daemon_json(node), (dockerd_pid(node), processes(node))

    outcome = fleet.run(name, data=keys(debug=True), flags=("-y", "--diff"))
    live = docker_info(node)["Debug"]
    assert_as_declared(fleet, name)

    assert outcome.code == 0, outcome.text
    assert "reload (SIGHUP) applies: /debug" in outcome.stderr
    assert live is True
    assert docker_info(node)["Debug"] is False
    assert (dockerd_pid(node), processes(node)) == before
    assert daemon_json(node) == text


def test_going_back_to_a_file_without_live_restore_ends_no_container(fleet: Fleet) -> None:
    name = "docker-29"
    node = fleet.nodes[name]
    as_before_us(node, '{"debug": false}')
    running = processes(node)

    outcome = fleet.run(name, data=keys(**FAILS_AT_START))

    assert outcome.code == 1
    assert f"{FILE} on {name}: dockerd did not start; rolling back" in outcome.stderr
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
def test_a_file_that_dockerd_refuses_changes_nothing_for_long(fleet: Fleet, name: str) -> None:
    node = fleet.nodes[name]
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


def test_a_container_that_a_restart_would_end_is_not_ended(fleet: Fleet) -> None:
    node = fleet.nodes["lived-in"]
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


def test_a_sandbox_of_the_old_form_outlives_restarts_that_are_not_ours(fleet: Fleet) -> None:
    name = "docker-29"
    node = fleet.nodes[name]
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


def test_two_runs_at_once_do_not_mix(fleet: Fleet) -> None:
    node = fleet.nodes["lived-in"]

    runs = [fleet.start("lived-in", keys(debug=True)) for _ in range(2)]
    ended = [(*run.communicate(), run.returncode) for run in runs]

    outcomes = [Outcome(code, out or "", err) for out, err, code in ended]
    assert 0 in [outcome.code for outcome in outcomes], outcomes[0].text + outcomes[1].text
    for outcome in outcomes:
        assert outcome.code == 0 or "the file has changed since it was read" in outcome.stderr
    assert docker_info(node)["Debug"] is True
    assert_as_declared(fleet, "lived-in")
