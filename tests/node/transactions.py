"""What the tests of the daemon.json transaction share."""

import json
from collections.abc import Mapping
from typing import Any

from tests.node.audits import sh
from tests.node.containers import must
from tests.node.running import CURRENT, Fleet, idle_in_the_end
from tests.node.seeing import no_leftovers
from tools.lab import LabNode

FILE = "/etc/docker/daemon.json"
FORGETFUL = ("docker-28",)
"""Nodes whose Docker is restarted where others are reloaded: 28.0 to 29.2 forget host-gateway."""


def keys(**own: Any) -> dict[str, Any]:
    """Settings for the main job, with these keys of daemon.json besides."""
    given = {key.replace("_", "-"): value for key, value in own.items()}
    return {**CURRENT, "gvisor_daemon_json": given}


def dockerd_pid(node: LabNode) -> str:
    return node.exec("cat", "/run/docker.pid").stdout.strip()


def restart_docker(node: LabNode) -> None:
    """Restart dockerd as an operator does; systemd counts no more than three starts a minute."""
    sh(node, "systemctl reset-failed docker; systemctl restart docker")


def last_run(node: LabNode) -> Mapping[str, Any]:
    found: dict[str, Any] = json.loads(must(node, "cat", "/var/lib/pyinfra-gvisor/last-run.json"))
    return found


def assert_as_declared(fleet: Fleet, *names: str, data: Mapping[str, Any] = CURRENT) -> None:
    """Check that a run repairs what is not as declared, and the next run finds nothing to do."""
    idle_in_the_end(lambda: fleet.run(*names, data=data))
    for name in names:
        assert no_leftovers(fleet.nodes[name]) == ""
