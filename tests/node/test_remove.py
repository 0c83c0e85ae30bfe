"""Removal: the node is as it was before us, to the byte, and nobody's container is lost."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.node.conftest import LAB, SPECS
from tests.node.containers import remove_container, start_container
from tests.node.running import CURRENT, HOME, PROVEN, Fleet, Outcome
from tests.node.seeing import daemon_json, docker_info, no_leftovers, processes, snapshot
from tests.node.transactions import FILE
from tools.lab import Lab, LabNode

pytestmark = pytest.mark.slow

SHOPS = ("docker-20", "lived-in")
NODES = ("plain", *SHOPS)

REMOVE = "deploys/remove.py"
KEEP = {**CURRENT, "gvisor_keep_running": True}
OURS = ("/opt/gvisor", "/var/lib/pyinfra-gvisor", "/run/pyinfra-gvisor")

# These differ from one moment to the next.
VOLATILE = {"SystemTime", "NFd", "NGoroutines", "NEventsListener"}

_FILES = r"""
find /etc /opt /usr/local /root /home /srv /var/lib -xdev \
    -not -path '/var/lib/containerd/*' -not -path '/var/lib/systemd/*' \
    -printf '%p %y %M %u %l\n' | sort
"""


@dataclass(frozen=True)
class Seen:
    """A node at one moment."""

    text: str | None
    info: Mapping[str, Any]
    files: str
    running: Mapping[str, int]


@dataclass(frozen=True)
class Removed:
    """What the nodes were before us and after us, and what the runs said."""

    fleet: Fleet
    before: Mapping[str, Seen]
    dry: Outcome
    dry_changed: tuple[str, ...]
    outcome: Outcome
    after: Mapping[str, Seen]
    second: Outcome
    second_changed: tuple[str, ...]


def look(node: LabNode) -> Seen:
    there = node.exec("test", "-e", FILE).code == 0
    info = {key: item for key, item in docker_info(node).items() if key not in VOLATILE}
    info["Labels"] = sorted(info["Labels"] or [])  # in no order
    registries = info["RegistryConfig"]
    registries["InsecureRegistryCIDRs"] = sorted(registries["InsecureRegistryCIDRs"])  # likewise
    # any reload makes 20.10 forget the names that it gives to runc itself
    info["Runtimes"] = {
        name: [entry["path"], entry.get("runtimeArgs")]
        for name, entry in info["Runtimes"].items()
        if not name.startswith("io.containerd.")
    }
    files = node.exec("sh", "-c", _FILES).stdout
    return Seen(daemon_json(node) if there else None, info, files, processes(node))


@pytest.fixture(scope="module")
def removed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Removed]:
    """Nodes that have never met us, gVisor on them, and gVisor gone again."""
    lab = Lab(f"{LAB}-remove")
    lab.down()
    nodes = dict(zip(NODES, lab.up([SPECS[name] for name in NODES]), strict=True))
    yield there_and_back(Fleet(nodes, tmp_path_factory.mktemp("fleet")))
    lab.down()


def there_and_back(fleet: Fleet) -> Removed:
    nodes = fleet.nodes
    before = {name: look(nodes[name]) for name in NODES}
    fleet.deploy(*NODES, by_host={"plain": PROVEN})  # test_main_job: a proof leaves the same on all
    snapshots = {name: snapshot(nodes[name]) for name in NODES}
    dry = fleet.run(*NODES, deploy=REMOVE, flags=("--dry", "--diff"))
    dry_changed = tuple(name for name in NODES if snapshot(nodes[name]) != snapshots[name])
    outcome = fleet.run(*NODES, deploy=REMOVE)
    after = {name: look(nodes[name]) for name in NODES}
    snapshots = {name: snapshot(nodes[name]) for name in NODES}
    second = fleet.run(*NODES, deploy=REMOVE)
    second_changed = tuple(name for name in NODES if snapshot(nodes[name]) != snapshots[name])
    return Removed(fleet, before, dry, dry_changed, outcome, after, second, second_changed)


def test_a_removal_ends_well(removed: Removed) -> None:
    assert removed.outcome.code == 0, removed.outcome.text


def test_a_dry_removal_changes_nothing_and_shows_the_difference(removed: Removed) -> None:
    assert removed.dry.code == 0, removed.dry.text
    assert removed.dry_changed == ()
    assert '-    "no-new-privileges": true,' in removed.dry.text
    assert f"remove {HOME}" in removed.dry.text


@pytest.mark.parametrize("name", NODES)
def test_daemon_json_is_the_original_to_the_byte(removed: Removed, name: str) -> None:
    assert removed.after[name].text == removed.before[name].text


@pytest.mark.parametrize("name", NODES)
def test_dockerd_is_configured_as_before(removed: Removed, name: str) -> None:
    assert removed.after[name].info == removed.before[name].info


@pytest.mark.parametrize("name", NODES)
def test_no_file_is_left_and_none_is_lost(removed: Removed, name: str) -> None:
    node = removed.fleet.nodes[name]

    assert removed.after[name].files.splitlines() == removed.before[name].files.splitlines()
    assert [path for path in OURS if node.exec("test", "-e", path).code == 0] == []
    assert no_leftovers(node) == ""


@pytest.mark.parametrize("name", NODES)
def test_running_containers_are_the_same_processes(removed: Removed, name: str) -> None:
    assert removed.after[name].running == removed.before[name].running
    assert (removed.after[name].running.keys() == {"shop-db", "old-sandbox"}) is (name in SHOPS)


@pytest.mark.parametrize("container", ["shop-db", "old-sandbox"])
@pytest.mark.parametrize("name", SHOPS)
def test_they_answer_exec_stop_start_and_restart(
    removed: Removed, name: str, container: str
) -> None:
    node = removed.fleet.nodes[name]

    ran = [
        node.exec("docker", "exec", container, "true"),
        node.exec("docker", "stop", "-t", "2", container),
        node.exec("docker", "start", container),
        node.exec("docker", "restart", "-t", "2", container),
        node.exec("docker", "exec", container, "true"),
    ]

    assert [(item.code, item.stderr) for item in ran] == [(0, "")] * 5


def test_a_second_removal_changes_nothing(removed: Removed) -> None:
    assert removed.second.code == 0, removed.second.text
    assert removed.second.stderr.count("No changes") == 2 * len(NODES)
    assert removed.second_changed == ()


def test_a_running_sandbox_can_be_left_running(removed: Removed) -> None:
    fleet, names = removed.fleet, ("plain", "docker-20")
    nodes = [fleet.nodes[name] for name in names]
    fleet.run(*names, data=CURRENT)
    for node in nodes:
        start_container(node, "tenant", "--runtime=runsc", "--restart=unless-stopped")
    running = [processes(node) for node in nodes]

    outcome = fleet.run(*names, deploy=REMOVE, data=KEEP)
    kept = [snapshot(node) for node in nodes]
    again = fleet.run(*names, deploy=REMOVE, data=KEEP)

    assert outcome.code == again.code == 0, outcome.text + again.text
    # The others had a runsc of their own, which comes back under the same name.
    assert outcome.stderr.count("runtime runsc is not declared, but these containers need it") == 1
    assert [look(fleet.nodes[name]).text for name in names[1:]] == [
        removed.before[name].text for name in names[1:]
    ]
    assert outcome.stderr.count(f"keep {HOME}, it is in use") == len(names)
    assert [snapshot(node) for node in nodes] == kept
    assert [processes(node) for node in nodes] == running
    for node in nodes:
        assert node.exec("docker", "exec", "tenant", "true").code == 0
        assert node.exec("docker", "stop", "-t", "2", "tenant").code == 0
    assert nodes[0].exec("docker", "start", "tenant").code == 0
    assert nodes[0].exec("docker", "exec", "tenant", "true").code == 0
    for node in nodes:
        remove_container(node, "tenant")
    fleet.deploy(*names, deploy=REMOVE)
    assert [look(fleet.nodes[name]).text for name in names] == [
        removed.before[name].text for name in names
    ]
    assert [path for path in OURS if nodes[0].exec("test", "-e", path).code == 0] == []


def test_a_sandbox_that_was_restarted_on_our_release_is_told_from_one_that_was_not(
    removed: Removed,
) -> None:
    node = removed.fleet.nodes["lived-in"]
    removed.fleet.run("lived-in", data=CURRENT)
    node.exec("docker", "restart", "-t", "2", "old-sandbox")

    refused = removed.fleet.run("lived-in", deploy=REMOVE)
    node.exec("docker", "stop", "-t", "2", "old-sandbox")
    outcome = removed.fleet.run("lived-in", deploy=REMOVE)

    assert refused.code == 1
    assert "would be removed: old-sandbox; move these" in refused.text
    assert outcome.code == 0, outcome.text
    assert daemon_json(node) == removed.before["lived-in"].text
    assert node.exec("docker", "start", "old-sandbox").code == 0
    assert node.exec("docker", "exec", "old-sandbox", "true").code == 0
