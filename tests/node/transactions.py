"""What the tests of the daemon.json transaction share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.node.running import CURRENT, Fleet, no_leftovers
from tools.lab import LabNode

FILE = "/etc/docker/daemon.json"
FORGETFUL = ("docker-28",)
"""Nodes whose Docker is restarted where others are reloaded: 28.0 to 29.2 forget host-gateway."""


def keys(**own: Any) -> dict[str, Any]:
    """Settings for the main job, with these keys of daemon.json besides."""
    return {
        **CURRENT,
        "gvisor_daemon_json": {key.replace("_", "-"): value for key, value in own.items()},
    }


def dockerd_pid(node: LabNode) -> str:
    return node.exec("cat", "/run/docker.pid").stdout.strip()


def last_run(node: LabNode) -> Mapping[str, Any]:
    found: dict[str, Any] = json.loads(
        node.exec("cat", "/var/lib/pyinfra-gvisor/last-run.json").stdout
    )
    return found


def assert_as_declared(fleet: Fleet, *names: str, data: Mapping[str, Any] = CURRENT) -> None:
    """Check that a run repairs what is not as declared, and the next run finds nothing to do."""
    first, second = fleet.run(*names, data=data), fleet.run(*names, data=data)
    assert first.code == second.code == 0, first.text + second.text
    assert second.idle, second.text
    for name in names:
        assert no_leftovers(fleet.nodes[name]) == ""
