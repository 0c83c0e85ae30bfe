"""gVisor as the default: every container is in it, and works as if it had asked for it by name."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.proof.judges import GVISOR_KERNEL
from tests.node.archives import current_archive, release_archive, sha512
from tests.node.audits import sh
from tests.node.dispatching import (
    BY_NAME,
    DEFAULT,
    IMAGE,
    KINDS,
    MARKS,
    NEWEST,
    ORIGINAL,
    Ground,
    in_sandbox,
    kernel,
    lived_through,
    marks,
    program,
    start,
)
from tests.node.egress_nodes import at_once
from tests.node.faults import wait_for
from tests.node.running import (
    CURRENT,
    RELEASE,
    SENTRY,
    Outcome,
    daemon_json,
    docker_info,
    no_leftovers,
    processes,
    remove_containers,
    snapshot,
)
from tests.node.transactions import dockerd_pid
from tools.lab import LabNode

pytestmark = pytest.mark.slow

PAIR = {"by-default": (), "by-name": (BY_NAME,)}
REMOVE = "deploys/remove.py"

# What is the same with every Docker, apart from gVisor's own messages.
EXPECTED = {
    "kernel": f"0\n{GVISOR_KERNEL}",
    "exec": "4\nout\nerr",
    "exec-user": "0\n1000\n1001\n/tmp\nONE=two",
    "exec-input": "0\ngiven",
    "exec-terminal": "5",
    "exec-killed": "137",
    "ill": "0",
    "well": "0",
    "logs": "0\nstarted\naside",
    "update": "0\nNAME-main",
    "limit": f"0\n{128 << 20}",
    "pause": "0\nNAME-main",
    "paused": "0\npaused",
    "unpause": "0\nNAME-main",
    "exec-unpaused": "0",
    "cp-out": "0\nmade",
    "cp-in-volume-seen": "0\ngiven",
    "restart": "0\nNAME-main",
    "hung-up": "0\nhung up",
    "killed": "0\nexited 137 false",
    "stopped": "0\nexited 7",
    "init": "0",
    "init-state": "0\nexited 0",
    "input": "0\ngiven",
    "three": "3\nthree",
    "killed-inside": "137",
    "killed-inside-state": "0\nexited 137",
    "memory-state": "0\nexited 137",
    "gone-by-itself": "0",
    "none-left": "1\n[]\nError: No such object: NAME-rm",
    "terminal": "6",
}

_SWARM = """
set -eu
docker swarm init --advertise-addr 127.0.0.1 > /dev/null
docker service create --quiet --detach --no-resolve-image --name tasks busybox:1 sleep infinity \\
    > /dev/null
"""
_TEN = """
set -eu
seq 10 | xargs -P 2 -I N docker run -d --name crowd-N busybox:1 sleep infinity > /dev/null
"""
# The command waits: runsc may take one that ends at once for one that did not start, on a busy node
# (WaitForReady in its specutils.go).
_ASK_ALL = """
seq 10 | xargs -P 4 -I N docker exec crowd-N sh -c 'uname -v; sleep 0.3' | sort | uniq -c
"""


OTHER = "20260906.0"
OTHER_POLICY: dict[str, Any] = {
    "runtimes": {"runsc": {"overlay": "memory", "seal": {"binds": ["/srv"]}}},
    "infrastructure": [
        {
            "image": f"sha256:{'5' * 64}",
            "reason": "an image that is on no node",
            "without_labels": ["com.docker.compose."],
        },
    ],
}
RESTARTED = ("crowd-1", "crowd-2", "crowd-3")


@dataclass(frozen=True)
class Switched:
    """Nodes before and after gVisor became the default, and what the runs said."""

    before: dict[str, str]
    running: dict[str, dict[str, int]]
    dockerd: dict[str, str]
    dry: Outcome
    after_dry: dict[str, str]
    after: dict[str, str]
    written: dict[str, str]
    second: Outcome
    after_second: dict[str, str]


@pytest.fixture(scope="module")
def switched(dispatch: Ground) -> Switched:
    """Nodes on which nothing but the default was changed, under two running containers."""
    nodes = dispatch.tried
    dispatch.deploy(*KINDS)
    for node in nodes.values():
        remove_containers(node, "-before$")
        start(node, "bare-before")
        start(node, "boxed-before", BY_NAME)
    running = {kind: processes(nodes[kind]) for kind in KINDS}
    dockerd = {kind: dockerd_pid(nodes[kind]) for kind in KINDS}
    before = at_once(lambda kind: snapshot(nodes[kind]), KINDS)
    dry = dispatch.run(*KINDS, flags=("--dry", "--diff"), **DEFAULT)
    after_dry = at_once(lambda kind: snapshot(nodes[kind]), KINDS)
    dispatch.ready(*KINDS)
    after = at_once(lambda kind: snapshot(nodes[kind]), KINDS)
    written = {kind: daemon_json(nodes[kind]) for kind in KINDS}
    second = dispatch.run(*KINDS, **DEFAULT)
    after_second = at_once(lambda kind: snapshot(nodes[kind]), KINDS)
    return Switched(before, running, dockerd, dry, after_dry, after, written, second, after_second)


def test_a_dry_run_changes_nothing_and_names_what_the_real_run_writes(switched: Switched) -> None:
    assert switched.dry.code == 0, switched.dry.text
    assert switched.after_dry == switched.before
    for kind, text in switched.written.items():
        coming = re.findall(rf"\[{kind}\] +\+ +(.*?)[ ,}}]*\n", switched.dry.stderr)
        assert '"default-runtime": "gvisordefault"' in coming
        assert [line for line in coming if line not in text] == []


def test_a_reload_switches_it_and_a_second_run_changes_nothing(
    switched: Switched, dispatch: Ground
) -> None:
    assert switched.second.idle, switched.second.text
    assert switched.after_second == switched.after
    for kind, node in dispatch.tried.items():
        assert docker_info(node)["DefaultRuntime"] == "gvisordefault"
        assert dockerd_pid(node) == switched.dockerd[kind]
        assert processes(node) == switched.running[kind]
        assert in_sandbox(node, "boxed-before")
        assert not in_sandbox(node, "bare-before")
        assert [line for line in no_leftovers(node).split() if "judge." not in line] == []


@pytest.fixture(scope="module")
def pairs(switched: Switched, dispatch: Ground) -> Iterator[dict[str, LabNode]]:
    """Nodes with a container of before, one that asked for no runtime, and one for runsc."""

    def have(kind: str) -> None:
        remove_containers(dispatch.nodes[kind], "^/boxed-before$")
        for name, options in PAIR.items():
            start(dispatch.nodes[kind], name, "--restart=always", *options)

    at_once(have, KINDS)
    yield dispatch.tried
    at_once(lambda kind: remove_containers(dispatch.nodes[kind], "^/b"), KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_container_without_a_runtime_is_in_a_sandbox(
    pairs: dict[str, LabNode], kind: str
) -> None:
    assert in_sandbox(pairs[kind], "by-default")
    assert program(pairs[kind], "by-default") == program(pairs[kind], "by-name")


@pytest.fixture(scope="module")
def lives(pairs: dict[str, LabNode]) -> dict[str, dict[str, dict[str, str]]]:
    """What people do with containers, and what came of it, by node and by how runsc was chosen."""

    def live(kind: str) -> dict[str, dict[str, str]]:
        return {how: lived_through(pairs[kind], how, *options) for how, options in PAIR.items()}

    return at_once(live, KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_it_works_as_if_it_had_asked_for_the_runtime_by_name(
    lives: dict[str, dict[str, dict[str, str]]], kind: str
) -> None:
    found = lives[kind]["by-default"]

    assert found == lives[kind]["by-name"]
    assert {what: found[what] for what in EXPECTED} == EXPECTED
    assert found["exec-missing"].split()[0] in ("126", "127")
    assert "failed to load /missing: no such file" in found["missing"]


def test_a_restart_of_dockerd_leaves_it_as_it_is(pairs: dict[str, LabNode]) -> None:
    def restart(kind: str) -> None:
        node = pairs[kind]
        before, chosen = processes(node), marks(node)

        sh(node, "systemctl reset-failed docker; systemctl restart docker")

        assert processes(node) == before
        assert marks(node) == chosen
        for name in PAIR:
            assert in_sandbox(node, name)
            assert node.exec("docker", "exec", name, "sh", "-c", "exit 3").code == 3
        ran = {name: node.exec("docker", "restart", "-t", "1", name) for name in PAIR}
        assert {name: (item.code, item.stderr) for name, item in ran.items()} == dict.fromkeys(
            PAIR, (0, "")
        )
        assert all(in_sandbox(node, name) for name in PAIR)

    at_once(restart, KINDS)


def test_a_network_is_shared_with_a_container_in_gvisor_only(pairs: dict[str, LabNode]) -> None:
    def share(kind: str) -> None:
        node = pairs[kind]
        joined = {
            name: node.exec(
                *("docker", "run", "--rm", f"--network=container:{name}", IMAGE, "uname", "-v")
            )
            for name in (*PAIR, "bare-before")
        }

        refused = joined.pop("bare-before")
        assert {ran.stdout.strip() for ran in joined.values()} == {GVISOR_KERNEL}
        assert "network namespace of a container outside of gVisor" in refused.stderr
        assert refused.stdout == ""

    at_once(share, KINDS)


def test_the_mark_of_a_container_that_is_gone_goes_when_another_is_created(
    pairs: dict[str, LabNode],
) -> None:
    node = pairs[NEWEST]
    (id_,) = sh(node, "docker inspect --format '{{.Id}}' by-default").split()
    gone, young = f"{MARKS}/{'1' * 64}", f"{MARKS}/{'2' * 64}"
    sh(
        node,
        f"ln -s /gone {gone}; ln -s /gone {young}; touch -hd '1 hour ago' {gone} {MARKS}/{id_}",
    )

    start(node, "another")

    assert {"by-default", "another"} <= set(marks(node))
    assert node.exec("test", "-L", gone).code == 1
    assert node.exec("test", "-L", young).code == 0, "it may be of one that is being created"
    remove_containers(node, "^/another$")
    assert "another" not in marks(node).values()


def test_a_swarm_task_is_in_a_sandbox(dispatch: Ground) -> None:
    """Docker allows no live-restore with a swarm."""
    dispatch.deploy(*KINDS, **DEFAULT, daemon_json={"live-restore": None}, door="report")

    def task(kind: str) -> None:
        node = dispatch.nodes[kind]
        sh(node, _SWARM)

        try:
            wait_for(node, "docker ps --format '{{.Names}}' | grep -q '^tasks[.]'")
            (name,) = (name for name in processes(node) if name.startswith("tasks."))
            assert in_sandbox(node, name)
        finally:
            sh(node, "docker service rm tasks > /dev/null; docker swarm leave --force > /dev/null")

    at_once(task, KINDS)
    dispatch.deploy(*KINDS, **DEFAULT)


@pytest.mark.parametrize("kind", KINDS)
def test_it_comes_back_in_the_sandbox_after_a_power_cut(
    pairs: dict[str, LabNode], dispatch: Ground, kind: str
) -> None:
    node = pairs[kind]
    before = sh(node, f"stat -c %Y {MARKS}").strip()

    node.kill()
    node.start()

    for name in PAIR:
        wait_for(node, f"docker exec {name} true")
        assert in_sandbox(node, name)
    assert set(marks(node)) == {"by-default"}
    assert int(sh(node, f"stat -c %Y {MARKS}")) > int(before), "it is not on a disk"
    assert dispatch.run(kind, **DEFAULT).idle


@pytest.fixture
def crowd(dispatch: Ground) -> Iterator[LabNode]:
    """A node with ten containers that asked for no runtime."""
    node = dispatch.ready(NEWEST)[NEWEST]
    sh(node, _TEN)
    yield node
    remove_containers(node, "^/crowd-")
    dispatch.deploy(NEWEST, **DEFAULT)


def test_ten_containers_keep_running_while_the_dispatcher_and_runsc_are_replaced(
    crowd: LabNode, dispatch: Ground, tmp_path: Path
) -> None:
    before, dispatcher = processes(crowd), docker_info(crowd)["Runtimes"]["gvisordefault"]["path"]
    assert len([name for name in before if name.startswith("crowd-")]) == 10
    answers = sh(crowd, _ASK_ALL)
    assert answers.split() == ["10", *GVISOR_KERNEL.split()]

    dispatch.deploy(NEWEST, **DEFAULT, **_other_release(tmp_path), **OTHER_POLICY)

    assert processes(crowd) == before
    assert sh(crowd, _ASK_ALL) == answers
    assert docker_info(crowd)["Runtimes"]["gvisordefault"]["path"] != dispatcher
    assert OTHER in docker_info(crowd)["Runtimes"]["gvisordefault"]["path"]
    assert sh(crowd, "docker restart -t 0 crowd-1 crowd-2 crowd-3").split() == [*RESTARTED]
    for name in RESTARTED:
        assert kernel(crowd, name) == GVISOR_KERNEL
        assert program(crowd, name) == SENTRY.replace(RELEASE, OTHER)
        assert OTHER in marks(crowd)[name]
    assert program(crowd, "crowd-4") == SENTRY
    assert kernel(crowd, "crowd-4") == GVISOR_KERNEL


def _other_release(directory: Path) -> dict[str, Any]:
    archive = release_archive(current_archive(), OTHER, directory)
    sums = dict.fromkeys(CURRENT["gvisor_sha512"], sha512(archive))
    return {"release": OTHER, "source": str(archive), "sha512": sums}


@pytest.fixture(scope="module")
def left(dispatch: Ground) -> dict[str, LabNode]:
    """Nodes where gVisor was the default while two containers were created, and is not any more."""
    nodes = dispatch.ready(*KINDS)
    for node in nodes.values():
        remove_containers(node, "^/by-")  # the pairs, where their tests ran before
        start(node, "running-on")
        start(node, "stopped-then")
        sh(node, "docker stop -t 0 stopped-then")
    running = {kind: processes(node) for kind, node in nodes.items()}
    dispatch.deploy(*KINDS)
    dispatch.known.difference_update(KINDS)
    assert {kind: processes(node) for kind, node in nodes.items()} == running
    return nodes


@pytest.mark.parametrize("kind", KINDS)
def test_containers_of_a_default_that_is_off_again_are_not_stranded(
    left: dict[str, LabNode], kind: str
) -> None:
    node = left[kind]

    ran = [
        node.exec("docker", "exec", "running-on", "true"),
        node.exec("docker", "restart", "-t", "0", "running-on"),
        node.exec("docker", "stop", "-t", "0", "running-on"),
        node.exec("docker", "start", "running-on", "stopped-then"),
        node.exec("docker", "exec", "stopped-then", "true"),
    ]

    assert [(item.code, item.stderr) for item in ran] == [(0, "")] * 5
    assert in_sandbox(node, "running-on")
    assert in_sandbox(node, "stopped-then")
    start(node, "created-later")
    assert not in_sandbox(node, "created-later")
    remove_containers(node, "^/created-later$")


def test_a_removal_names_the_containers_that_need_the_default(
    left: dict[str, LabNode], dispatch: Ground
) -> None:
    nodes = left.values()
    before = [snapshot(node) for node in nodes]

    outcome = dispatch.run(*KINDS, deploy=REMOVE)

    assert outcome.code == 1
    need = "gvisordefault (these need it to start: stopped-then, running-on); set gvisor_default = "
    for kind in KINDS:
        assert re.search(rf"remove: \S+ on {kind}: .*{re.escape(need)}", outcome.stderr)
    assert [snapshot(node) for node in nodes] == before


def test_the_runtime_goes_with_the_last_container_and_a_removal_restores_the_original(
    left: dict[str, LabNode], dispatch: Ground
) -> None:
    for node in left.values():
        assert "gvisordefault" in daemon_json(node)
        remove_containers(node, "^/(running-on|stopped-then)$")

    off, second = dispatch.deploy(*KINDS), dispatch.run(*KINDS)
    texts = [daemon_json(node) for node in left.values()]
    dispatch.deploy(*KINDS, deploy=REMOVE)

    assert "runtimes removed, no container uses them: gvisordefault" in off.stderr
    assert second.idle, second.text
    assert [text for text in texts if "gvisordefault" in text] == []
    for node in left.values():
        assert daemon_json(node) == ORIGINAL
        assert docker_info(node)["DefaultRuntime"] == "runc"
        assert no_leftovers(node) == ""
        assert sh(node, "ls -A /opt | grep gvisor; ls -A /run | grep pyinfra; true") == ""
