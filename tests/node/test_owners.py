"""Several deploys on one daemon.json: each has its own keys, and takes none of another's."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.node.containers import remove_container, start_container
from tests.node.running import CURRENT, Fleet, Outcome
from tests.node.seeing import daemon_json, docker_info, no_leftovers, processes, snapshot
from tests.node.transactions import assert_as_declared, keys
from tools.lab import LabNode

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("converged")]

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


def test_each_keeps_to_its_own_keys_and_takes_only_those_away(fleet: Fleet) -> None:
    name = "docker-29"
    node = fleet.nodes[name]
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


def stopped(node: LabNode, name: str, runtime: str) -> None:
    """A container that ran under this runtime."""
    start_container(node, name, f"--runtime={runtime}")
    node.exec("docker", "stop", "-t", "2", name)


def test_a_runtime_that_a_stopped_container_uses_stays_until_the_container_is_gone(
    fleet: Fleet,
) -> None:
    node = fleet.nodes["plain"]
    both = {**CURRENT, "gvisor_runtimes": {"runsc": {}, "second": {"overlay": "self"}}}
    keep = {**CURRENT, "gvisor_keep_running": True}
    assert fleet.run("plain", data=both).code == 0
    stopped(node, "tenant", "second")
    before = snapshot(node)

    refused = fleet.run("plain", data=CURRENT)
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
