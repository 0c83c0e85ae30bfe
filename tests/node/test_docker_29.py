"""Docker 29: put under running containers, and what its own behaviour asks of daemon.json."""

import json
import re
from collections.abc import Iterator

import pytest

from pyinfra_gvisor.proof.checks import asked_of
from pyinfra_gvisor.runtimes.profiles import Runtime
from tests.node import docker_29, docker_29_store
from tests.node.conftest import LAB, lab_of
from tests.node.docker_29 import CONTAINERS, Upgrade
from tests.node.docker_29_store import Store, firewall, insecure, nftables, reloads, starts
from tests.node.proving import rows
from tests.node.running import Fleet
from tests.node.seeing import daemon_json, docker_info, no_leftovers
from tests.node.transactions import FILE, dockerd_pid, restart_docker
from tools.lab import FLAVOURS, NodeSpec

NODES = {
    docker_29.NAME: NodeSpec(FLAVOURS["debian-13"], lived_in=True),
    docker_29_store.NAME: NodeSpec(FLAVOURS["debian-13-docker-29-containerd"]),
}
MOMENTS = ("converged", "dockerd", "replaced", "after_converge", "rolled_back", "after_again")
IN_USE = {"features": {"containerd-snapshotter": True}}
MOVES = "the change of /features/containerd-snapshotter would unmount the files of "
OTHER_FIREWALL = "the next start of dockerd would change its firewall backend from"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Nodes of its own."""
    with lab_of(f"{LAB}-docker-29", NODES) as made:
        yield Fleet(made, tmp_path_factory.mktemp("docker-29"))


@pytest.fixture(scope="module")
def done(lab: Fleet) -> Upgrade:
    """The upgrade, done before the first test that asks for it."""
    return docker_29.upgrade(lab)


@pytest.fixture(scope="module")
def converged(lab: Fleet) -> Store:
    """The node with gVisor and containers."""
    store = Store(lab)
    store.run_well()
    store.start_containers()
    return store


@pytest.fixture
def store(converged: Store) -> Iterator[Store]:
    """The same; its containers are the same processes after every test, and answer."""
    running = converged.answering()
    yield converged
    assert converged.answering() == running
    assert running.keys() == {"tenant", "sandbox"}


def test_docker_29_takes_over_images_and_settings_of_26(done: Upgrade) -> None:
    old, new = done.seen["converged"], done.seen["replaced"]

    assert str(old.info["ServerVersion"]).startswith("26.1.5")
    assert [new.info[key] for key in ("ServerVersion", "Driver")] == ["29.7.1", "overlay2"]
    assert (new.text, new.info["Runtimes"].keys()) == (old.text, old.info["Runtimes"].keys())


@pytest.mark.parametrize("moment", [*MOMENTS, "removed"])
def test_the_containers_are_the_same_processes_and_answer(done: Upgrade, moment: str) -> None:
    seen = done.seen[moment]

    assert done.seen["before"].running.keys() == set(CONTAINERS)
    assert seen.running == done.seen["before"].running
    assert seen.answers == dict.fromkeys(CONTAINERS, 0)


def test_docker_29_with_debian_13_s_runc_is_refused_before_the_first_change(done: Upgrade) -> None:
    said = "Docker 29.7.1 needs runc 1.2 or later, got 1.1.15; upgrade runc"

    assert done.runs["refused"].code == 1
    assert said in done.runs["refused"].text
    assert not done.changed["refused"]


def test_a_run_on_the_new_docker_proves_again_and_a_second_changes_nothing(done: Upgrade) -> None:
    assert done.runs["converge"].code == done.runs["second"].code == 0, (
        done.runs["converge"].text + done.runs["second"].text
    )
    assert set(rows(done.runs["converge"])) == {check.id for check in asked_of(Runtime())}
    assert rows(done.runs["second"]) == {}
    assert done.runs["second"].idle
    assert not done.changed["second"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_keys_of_others_survive(done: Upgrade, moment: str) -> None:
    seen = done.seen[moment]
    before, now = json.loads(done.seen["before"].text), json.loads(seen.text)

    for key in ("max-concurrent-downloads", "log-opts", "log-driver", "labels"):
        assert now[key] == before[key]
    assert sorted(seen.info["Labels"]) == sorted(before["labels"])


def test_a_rollback_goes_to_what_was_before_the_upgrade(done: Upgrade) -> None:
    assert done.runs["rollback"].code == 0, done.runs["rollback"].text
    assert done.seen["rolled_back"].text == done.seen["before"].text != done.seen["converged"].text
    assert done.seen["rolled_back"].info["LiveRestoreEnabled"] is False
    assert done.seen["rolled_back"].info["Runtimes"]["runsc"]["path"] == "/usr/local/bin/runsc"


def test_it_goes_forward_again_from_there(done: Upgrade) -> None:
    assert done.runs["again"].code == 0, done.runs["again"].text
    assert done.seen["after_again"].text == done.seen["converged"].text


def test_a_removal_leaves_the_original_to_the_byte(done: Upgrade) -> None:
    assert done.runs["remove"].code == 0, done.runs["remove"].text
    assert done.seen["removed"].text == done.seen["before"].text
    assert no_leftovers(done.node) == ""


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_container_from_before_the_upgrade_stops_and_starts(
    done: Upgrade, container: str
) -> None:
    commands = [
        ("exec", container, "true"),
        ("stop", "-t", "2", container),
        ("start", container),
        ("exec", container, "true"),
    ]

    ran = [done.node.exec("docker", *command) for command in commands]

    assert [(item.code, item.stderr) for item in ran] == [(0, "")] * len(commands)


def test_a_feature_that_dockerd_reads_again_needs_one_reload(store: Store) -> None:
    wanted = {"features": {"buildkit": True}}
    before = dockerd_pid(store.node), starts(store.node), reloads(store.node)

    outcome = store.run(**wanted)

    assert outcome.code == 0, outcome.text
    assert "reload (SIGHUP) applies: /features/buildkit" in outcome.stderr
    assert dockerd_pid(store.node) == before[0]
    assert (starts(store.node), reloads(store.node)) == (before[1], before[2] + 1)
    store.assert_second_changes_nothing(**wanted)


def test_a_feature_that_dockerd_reads_at_its_start_needs_one_restart(store: Store) -> None:
    wanted = {"features": {"cdi": False}}
    before = dockerd_pid(store.node), starts(store.node)
    directories = docker_info(store.node)["CDISpecDirs"]

    outcome = store.run(**wanted)

    assert outcome.code == 0, outcome.text
    said = r"restart, because dockerd reads these keys only at its start: .*/features/cdi"
    assert re.search(said, outcome.text)
    assert dockerd_pid(store.node) != before[0]
    assert starts(store.node) == before[1] + 1
    assert directories
    assert not docker_info(store.node)["CDISpecDirs"]
    store.assert_second_changes_nothing(**wanted)


@pytest.mark.slow
def test_a_restart_with_another_firewall_is_refused_until_dockerd_has_it(store: Store) -> None:
    restarts = {"log_level": "warn"}
    with nftables(store.node):
        said = f"{OTHER_FIREWALL} iptables, got nftables by /firewall-backend in {FILE}"
        store.run_refused(said, **restarts)
        before = firewall(store.node)
        restart_docker(store.node)
        used = firewall(store.node)
        store.run_well()
        store.assert_second_changes_nothing()
    store.run_refused(f"{OTHER_FIREWALL} nftables, got iptables by default", **restarts)
    restart_docker(store.node)

    assert (before, used, firewall(store.node)) == ("iptables", "nftables", "iptables")
    store.run_well()
    store.assert_second_changes_nothing()


def test_insecure_registries_of_ours_leave_docker_s_default_as_it_was(store: Store) -> None:
    before = insecure(store.node)

    store.run_well(insecure_registries=["10.9.0.0/16"])
    added = insecure(store.node)
    store.run_well()
    removed = insecure(store.node)
    restart_docker(store.node)

    assert added == sorted([*before, "10.9.0.0/16"])
    assert removed == insecure(store.node) == before


def test_naming_the_store_of_images_that_is_in_use_is_no_refusal(store: Store) -> None:
    outcome = store.run(**IN_USE)

    assert outcome.code == 0, outcome.text
    assert docker_info(store.node)["Driver"] == "overlayfs"
    store.assert_second_changes_nothing(**IN_USE)


@pytest.mark.slow
def test_the_name_of_the_store_can_be_removed_once_no_container_runs(converged: Store) -> None:
    converged.run_well(**IN_USE)

    converged.run_refused(MOVES)
    converged.remove_containers()
    converged.run_well()
    converged.start_containers()

    assert "containerd-snapshotter" not in daemon_json(converged.node)
    assert docker_info(converged.node)["Driver"] == "overlayfs"
