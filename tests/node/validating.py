"""Coolify's validation of a server, and what must be unchanged after it."""

import json
from typing import Any

from tests.node.audits import sh
from tests.node.containers import remove_container, start_container
from tests.node.running import PROVEN, Fleet
from tests.node.seeing import daemon_json, docker_info, processes
from tests.node.transactions import FILE, assert_as_declared
from tools.lab import LabNode

# app/Actions/Server/InstallDocker.php of Coolify 4.3.11, which runs where Docker or its compose is
# missing: the node's own values win, and everything is written anew by jq.
_VALIDATION = """
if ! command -v jq > /dev/null; then
    apt-get -qq update
    apt-get -qq -y --no-install-recommends install jq
fi
cd /etc/docker
log='"log-driver": "json-file", "log-opts": {"max-size": "10m", "max-file": "3"}'
echo "{$log}" > daemon.json.coolify
jq -s '.[0] * .[1]' daemon.json.coolify daemon.json > daemon.json.appended
mv daemon.json.appended daemon.json
systemctl restart docker
"""
_TIDY = "rm -f /etc/docker/daemon.json.coolify"


def survives(fleet: Fleet, name: str) -> None:
    """Check that keys and containers are unchanged, and the next run only proves the node."""
    node = fleet.nodes[name]
    fleet.deploy(name, data=PROVEN)
    start_container(node, "validated", "--runtime=runsc")
    text, keys, running = daemon_json(node), parsed(node), processes(node)

    sh(node, _VALIDATION)
    node.wait_until_ready()

    log = {"log-driver": "json-file", "log-opts": {"max-size": "10m", "max-file": "3"}}
    assert parsed(node) == {**log, **keys, "log-opts": {**log["log-opts"], **keys["log-opts"]}}
    assert processes(node) == running
    assert "runsc" in docker_info(node)["Runtimes"]
    assert "Jan 10 15:06:54 PST 2016" in sh(node, "docker exec validated uname -v")
    sh(node, "docker restart -t 1 validated")
    assert "Jan 10 15:06:54 PST 2016" in sh(node, "docker exec validated uname -v")
    remove_container(node, "validated")
    node.exec("sh", "-c", _TIDY)
    proven = fleet.deploy(name, data=PROVEN)  # jq writes the file otherwise: it is proven anew
    assert proven.steps_changed == 1, "the proof"
    again = fleet.deploy(name, data=PROVEN)
    assert again.idle
    node.put(FILE, text.encode())  # as other tests know it
    assert_as_declared(fleet, name, data=PROVEN)


def parsed(node: LabNode) -> Any:
    """Return the values of daemon.json."""
    return json.loads(daemon_json(node))
