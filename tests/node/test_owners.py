"""Several deploys on one daemon.json: each has its own keys, and takes none of another's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pyinfra_gvisor.lab import LabNode
from tests.node.running import (
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
from tests.node.transactions import UNPROVEN, assert_as_declared, dockerd_pid, keys

pytestmark = pytest.mark.slow

MIRRORS = {"registry-mirrors": ["https://mirror.example/"]}
LOGS = {"log-level": "warn"}


def owns(
    fleet: Fleet, name: str, owner: str, wanted: Mapping[str, Any], *, restart: str = "auto"
) -> Outcome:
    """A run of somebody's own deploy, which wants these keys and no others."""
    deploy = fleet.directory / f"{owner}.py"
    deploy.write_text(
        "from pyinfra_gvisor.operations import docker\n"
        f"docker.daemon_json(wanted={wanted!r}, owner={owner!r}, restart={restart!r})\n"
    )
    return fleet.run(name, deploy=deploy)


def assert_no_change(node: LabNode, before: str, *outcomes: Outcome) -> None:
    for outcome in outcomes:
        assert outcome.code == 0, outcome.text
        assert "No changes" in outcome.stderr
    assert snapshot(node) == before
    assert no_leftovers(node) == ""


def test_each_keeps_to_its_own_keys_and_takes_only_those_away(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    name = "docker-29"
    node = converged[name]
    fleet.run(name, data=keys(debug=True))
    ours, running = daemon_json(node), processes(node)

    outcomes = [owns(fleet, name, "mirrors", MIRRORS)]
    with_mirrors = daemon_json(node)
    outcomes += [owns(fleet, name, "logs", LOGS)]
    with_all, before = daemon_json(node), snapshot(node)
    assert_no_change(node, before, owns(fleet, name, "mirrors", MIRRORS))
    outcomes += [fleet.run(name, data=keys(debug=True))]
    unchanged, info = daemon_json(node), docker_info(node)
    outcomes += [owns(fleet, name, "logs", {})]
    without_logs = daemon_json(node)
    outcomes += [owns(fleet, name, "mirrors", {})]

    assert [outcome.code for outcome in outcomes] == [0] * 5
    assert all(key in with_all for key in ("registry-mirrors", "log-level", "debug"))
    assert unchanged == with_all
    assert info["RegistryConfig"]["Mirrors"] == MIRRORS["registry-mirrors"]
    assert without_logs == with_mirrors
    assert daemon_json(node) == ours
    assert docker_info(node)["RegistryConfig"]["Mirrors"] in ([], None)
    assert processes(node) == running
    assert node.exec("docker", "exec", "old-sandbox", "true").code == 0
    before = snapshot(node)
    assert_no_change(node, before, owns(fleet, name, "mirrors", {}))


def test_two_values_for_one_key_are_refused_with_the_owner_named(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    node = converged["plain"]
    fleet.run("plain")
    owns(fleet, "plain", "mirrors", MIRRORS)
    before = snapshot(node)

    theirs = owns(fleet, "plain", "logs", {"registry-mirrors": ["https://other.example/"]})
    ours = fleet.run("plain", data=keys(registry_mirrors=["https://other.example/"]))
    of_ours = owns(fleet, "plain", "logs", {"live-restore": False})

    assert theirs.code == ours.code == of_ours.code == 1
    for outcome in (theirs, ours):
        said = "/registry-mirrors has another owner, mirrors, which declares another value"
        assert said in outcome.stderr
    said = "/live-restore has another owner, gvisor, which declares another value"
    assert said in of_ours.stderr
    assert snapshot(node) == before
    owns(fleet, "plain", "mirrors", {})
    assert_as_declared(fleet, "plain")


def test_a_key_that_two_want_goes_with_the_second_of_them(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    node = converged["plain"]
    fleet.run("plain")
    text = daemon_json(node)
    owns(fleet, "plain", "mirrors", MIRRORS)
    owns(fleet, "plain", "logs", MIRRORS)

    owns(fleet, "plain", "mirrors", {})
    with_one = daemon_json(node)
    owns(fleet, "plain", "logs", {})

    assert "registry-mirrors" in with_one
    assert daemon_json(node) == text
    assert_as_declared(fleet, "plain")


def test_a_restart_that_one_owes_is_not_made_by_another(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    node = converged["plain"]
    fleet.run("plain")
    owed = owns(fleet, "plain", "logs", LOGS, restart="reload")
    pid = dockerd_pid(node)

    other = fleet.run("plain", data=keys(debug=True))
    still = owns(fleet, "plain", "logs", LOGS, restart="reload")
    unrestarted = dockerd_pid(node)
    made = owns(fleet, "plain", "logs", LOGS)

    assert owed.code == other.code == still.code == made.code == 0
    assert docker_info(node)["Debug"] is True
    assert "/log-level: changed since dockerd started" in still.stderr
    assert unrestarted == pid
    assert dockerd_pid(node) != pid
    owns(fleet, "plain", "logs", {})
    assert_as_declared(fleet, "plain")


STATE = "/var/lib/pyinfra-gvisor"


def test_a_lost_record_is_restored_and_gives_back_what_was_there(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    node = converged["plain"]
    fleet.run("plain")
    text = daemon_json(node)
    owns(fleet, "plain", "mirrors", MIRRORS)
    record = node.exec("cat", f"{STATE}/owned.json").stdout

    node.exec("rm", f"{STATE}/owned.json")
    missing = owns(fleet, "plain", "mirrors", MIRRORS)
    restored = node.exec("cat", f"{STATE}/owned.json").stdout
    node.put(f"{STATE}/owned.json", b"\xff\x00garbage")
    damaged = owns(fleet, "plain", "mirrors", {})

    assert (missing.code, damaged.code) == (0, 0), missing.text + damaged.text
    assert f"{STATE}/owned.json is missing: restore it from" in missing.stderr
    assert f"{STATE}/owned.json is damaged: restore it from" in damaged.stderr
    assert restored == record
    assert daemon_json(node) == text
    assert_as_declared(fleet, "plain")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param("", "owned.json is damaged, and has no usable second copy", id="both-damaged"),
        pytest.param('{"version": 999}', "is from a newer pyinfra-gvisor", id="newer"),
    ],
)
def test_a_record_that_cannot_be_used_stops_every_run(
    converged: dict[str, LabNode], fleet: Fleet, content: str, said: str
) -> None:
    node = converged["plain"]
    fleet.run("plain")
    names = ("owned.json", "owned.copy.json")
    kept = {name: node.exec("cat", f"{STATE}/{name}").stdout for name in names}
    for name in names:
        node.put(f"{STATE}/{name}", content.encode())
    before = snapshot(node)

    outcomes = [owns(fleet, "plain", "mirrors", MIRRORS), fleet.run("plain")]
    outcomes += [fleet.run("plain", deploy="deploys/remove.py")]
    unchanged = snapshot(node)
    for name, text in kept.items():
        node.put(f"{STATE}/{name}", text.encode())

    assert [outcome.code for outcome in outcomes] == [1, 1, 1]
    assert all(said in outcome.stderr for outcome in outcomes)
    assert unchanged == before


def stopped(node: LabNode, name: str, runtime: str) -> None:
    """A container that ran under this runtime."""
    start_container(node, name, f"--runtime={runtime}")
    node.exec("docker", "stop", "-t", "2", name)


def test_a_runtime_that_a_stopped_container_uses_stays_until_the_container_is_gone(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    node = converged["plain"]
    both = {**UNPROVEN, "gvisor_runtimes": {"runsc": {}, "second": {"overlay": "self"}}}
    keep = {**UNPROVEN, "gvisor_keep_running": True}
    assert fleet.run("plain", data=both).code == 0
    stopped(node, "tenant", "second")
    before = snapshot(node)

    refused = fleet.run("plain", data=UNPROVEN)
    after = snapshot(node)
    dry = fleet.run("plain", data=keep, flags=("--dry",))
    kept = [fleet.run("plain", data=keep) for _ in range(2)]
    started = node.exec("docker", "start", "tenant")
    remove_container(node, "tenant")
    gone = fleet.run("plain", data=keep)

    assert refused.code == 1
    said = "second (these need it to start: tenant (stopped)); keep these runtimes"
    assert said in refused.text
    assert "Nothing was changed." in refused.text
    assert after == before
    said = "runtime second is not declared, but these containers need it: tenant (stopped). "
    for outcome in (dry, *kept):
        assert outcome.code == 0, outcome.text
        assert said in outcome.stderr
        assert "The runtime, its wrapper and its release stay" in outcome.stderr
    assert all(outcome.idle for outcome in kept)
    assert (started.code, started.stderr) == (0, "")
    assert gone.code == 0, gone.text
    assert "runtimes removed, no container uses them: second" in gone.stderr
    assert "second" not in docker_info(node)["Runtimes"]
    assert_as_declared(fleet, "plain")


def test_another_owners_runtime_does_not_leave_while_a_container_uses_it(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    node = converged["plain"]
    fleet.run("plain", data=UNPROVEN)
    path = docker_info(node)["Runtimes"]["runsc"]["path"]
    owns(fleet, "plain", "theirs", {"runtimes": {"theirs": {"path": path}}})
    stopped(node, "tenant", "theirs")
    before = snapshot(node)

    refused = owns(fleet, "plain", "theirs", {})
    after = snapshot(node)
    started = node.exec("docker", "start", "tenant")
    remove_container(node, "tenant")
    gone = owns(fleet, "plain", "theirs", {})

    assert refused.code == 1
    assert "theirs (these need it to start: tenant (stopped))" in refused.text
    assert after == before
    assert (started.code, started.stderr) == (0, "")
    assert gone.code == 0, gone.text
    assert "theirs" not in docker_info(node)["Runtimes"]
    assert_as_declared(fleet, "plain")
