"""Where dockerd must not be restarted: what is done all the same, what is owed, what is refused."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.lab import LabNode
from tests.node.running import (
    Fleet,
    daemon_json,
    docker_info,
    no_leftovers,
    processes,
    snapshot,
)
from tests.node.transactions import assert_as_declared, dockerd_pid, keys

pytestmark = pytest.mark.slow

WANTED = keys(debug=True, log_level="warn")
RELOAD = {**WANTED, "gvisor_restart": "reload"}
UNAPPLIED = "/log-level: changed since dockerd started, restart dockerd to apply"


@pytest.mark.parametrize("name", ["docker-20"])
def test_reload_writes_everything_and_says_at_every_run_what_is_owed(
    converged: dict[str, LabNode], fleet: Fleet, name: str
) -> None:
    node = converged[name]
    fleet.run(name)
    pid, running = dockerd_pid(node), processes(node)

    first = fleet.run(name, data=RELOAD)
    before = snapshot(node)
    later = [fleet.run(name, data=RELOAD) for _ in range(2)]

    assert [outcome.code for outcome in (first, *later)] == [0] * 3, first.text
    assert all(UNAPPLIED in outcome.stderr for outcome in (first, *later))
    assert '"log-level": "warn"' in daemon_json(node)
    assert docker_info(node)["Debug"] is True
    assert (dockerd_pid(node), processes(node)) == (pid, running)
    assert node.exec("docker", "exec", "old-sandbox", "true").code == 0
    assert snapshot(node) == before
    assert no_leftovers(node) == ""
    assert_as_declared(fleet, name)


def test_a_restart_by_somebody_else_pays_what_was_owed(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    node = converged["plain"]
    fleet.run("plain", data=RELOAD)
    node.exec("sh", "-c", "systemctl reset-failed docker; systemctl restart docker")
    before = snapshot(node)

    outcome = fleet.run("plain", data=RELOAD)
    allowed = fleet.run("plain", data=WANTED)

    assert outcome.code == allowed.code == 0, outcome.text
    assert UNAPPLIED not in outcome.stderr
    assert outcome.idle
    assert allowed.idle
    assert snapshot(node) == before
    assert_as_declared(fleet, "plain")


def test_a_restart_that_is_owed_is_made_once_it_is_allowed(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    node = converged["docker-29"]
    fleet.run("docker-29", data=RELOAD)
    pid, running = dockerd_pid(node), processes(node)

    outcome = fleet.run("docker-29", data=WANTED, flags=("-y", "--diff"))

    assert outcome.code == 0, outcome.text
    assert "dockerd was started without them): /log-level" in outcome.stderr
    assert UNAPPLIED not in outcome.stderr
    assert dockerd_pid(node) != pid
    assert processes(node) == running
    assert_as_declared(fleet, "docker-29")


@pytest.mark.parametrize(
    "flags", [pytest.param(("-y",), id="real"), pytest.param(("--dry",), id="dry")]
)
def test_never_refuses_what_needs_a_restart_and_changes_nothing(
    converged: dict[str, LabNode], fleet: Fleet, flags: tuple[str, ...]
) -> None:
    node = converged["docker-29"]
    fleet.run("docker-29")
    before = snapshot(node)

    outcome = fleet.run("docker-29", data={**WANTED, "gvisor_restart": "never"}, flags=flags)

    assert outcome.code == 1
    assert "needs a restart of dockerd, which is not allowed here, got /log-level" in outcome.stderr
    assert snapshot(node) == before


def test_never_lets_pass_what_a_reload_applies(converged: dict[str, LabNode], fleet: Fleet) -> None:
    node = converged["docker-29"]
    fleet.run("docker-29")
    pid, running = dockerd_pid(node), processes(node)

    outcome = fleet.run("docker-29", data={**keys(debug=True), "gvisor_restart": "never"})

    assert outcome.code == 0, outcome.text
    assert docker_info(node)["Debug"] is True
    assert (dockerd_pid(node), processes(node)) == (pid, running)
    assert_as_declared(fleet, "docker-29")
