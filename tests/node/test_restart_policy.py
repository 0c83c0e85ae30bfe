"""Where dockerd must not be restarted: what is done all the same, and what is owed."""

import pytest

from tests.node.running import Fleet
from tests.node.seeing import daemon_json, docker_info, no_leftovers, processes, snapshot
from tests.node.transactions import assert_as_declared, dockerd_pid, keys

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("converged")]

WANTED = keys(debug=True, log_level="warn")
RELOAD = {**WANTED, "gvisor_restart": "reload"}
UNAPPLIED = "/log-level: changed since dockerd started, restart dockerd to apply"


def test_reload_writes_everything_and_says_what_is_owed_until_the_restart_is_allowed(
    fleet: Fleet,
) -> None:
    name = "docker-20"
    node = fleet.nodes[name]
    fleet.run(name)
    pid, running = dockerd_pid(node), processes(node)

    first = fleet.run(name, data=RELOAD)
    before = snapshot(node)
    second = fleet.run(name, data=RELOAD)

    assert first.code == second.code == 0, first.text + second.text
    assert UNAPPLIED in first.stderr
    assert UNAPPLIED in second.stderr
    assert '"log-level": "warn"' in daemon_json(node)
    assert docker_info(node)["Debug"] is True
    assert (dockerd_pid(node), processes(node)) == (pid, running)
    assert node.exec("docker", "exec", "old-sandbox", "true").code == 0
    assert snapshot(node) == before
    assert no_leftovers(node) == ""

    allowed = fleet.deploy(name, data=WANTED, flags=("-y", "--diff"))

    assert "dockerd was started without them): /log-level" in allowed.stderr
    assert UNAPPLIED not in allowed.stderr
    assert dockerd_pid(node) != pid
    assert processes(node) == running
    assert_as_declared(fleet, name)
