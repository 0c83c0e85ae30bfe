"""The watch on real nodes: it finds what lacks its sandbox, and touches nothing it need not."""

from collections.abc import Iterator

import pytest

from pyinfra_gvisor.platforms.coolify import RESOURCE_NAME
from tests.node.conftest import LAB, SPECS, lab_of
from tests.node.running import RELEASED, SENTRY, Fleet
from tests.node.seeing import no_leftovers, processes, snapshot
from tests.node.watching import (
    COOLIFYS,
    INTERVAL_S,
    PROBE,
    SLACK_S,
    TEXT,
    TEXTFILE,
    TEXTFILES,
    UNIT,
    have_none,
    have_watch,
    journal,
    left,
    look_now,
    looked_at,
    looks,
    metrics,
    sees_one_of_two,
    start,
    start_forger,
    used_by,
    within,
    without_docker,
)
from tools.lab import LabNode

STOP_S = 10


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Nodes of its own: a removal would take from other tests what they start from."""
    with lab_of(f"{LAB}-watch", {"plain": SPECS["plain"]}) as nodes:
        fleet = Fleet(nodes, tmp_path_factory.mktemp("fleet"))
        fleet.deploy("plain")
        yield fleet


@pytest.fixture
def watched(own: Fleet) -> Iterator[Fleet]:
    """A fleet whose node is without a watch again when the test has ended."""
    yield own
    if left(own.nodes["plain"]):
        have_none(own)


@pytest.fixture
def node(watched: Fleet) -> LabNode:
    """The node that most of it is tried on."""
    return watched.nodes["plain"]


def test_what_lacks_its_sandbox_is_in_the_journal_within_an_interval(
    watched: Fleet, node: LabNode
) -> None:
    try:
        sees_one_of_two(watched, "plain")
    finally:
        gone = have_none(watched)

    assert gone.code == 0, gone.text
    assert left(node) == []
    assert no_leftovers(node) == ""


@pytest.mark.slow
def test_stopping_stops_it_and_only_it(watched: Fleet, node: LabNode) -> None:
    start(node, "watched-other")
    start(node, "watched-good", "--runtime=runsc", *COOLIFYS)
    running = processes(node)
    bad = start(node, "watched-bad", "--restart=always", *COOLIFYS)

    have_watch(watched, gvisor_watch_action="stop")

    # sleep as a first process ignores SIGTERM, and Docker waits for it
    assert within(INTERVAL_S + STOP_S + SLACK_S, lambda: processes(node) == running)
    assert within(SLACK_S, lambda: any("was stopped" in x for x in journal(node, bad)))
    looked = looks(node)
    assert within(2 * INTERVAL_S, lambda: looks(node) > looked)
    assert processes(node) == running


@pytest.mark.slow
def test_a_forger_is_found(watched: Fleet, node: LabNode) -> None:
    forger = start_forger(node, "watched-forger")
    pid = processes(node)["watched-forger"]
    exe = node.exec("readlink", f"/proc/{pid}/exe").stdout.strip()
    argv0 = node.exec("sh", "-c", f"tr '\\0' '\\n' < /proc/{pid}/cmdline | head -n 1").stdout

    have_watch(watched)

    assert (exe, argv0.strip()) == (SENTRY, "runsc-sandbox")
    assert within(SLACK_S, lambda: journal(node, forger))
    told = "its binary is on another file system; run pyinfra-gvisor apply"
    assert told in journal(node, forger)[0]


@pytest.mark.slow
def test_a_proof_is_neither_reported_nor_stopped(watched: Fleet, node: LabNode) -> None:
    stops = {"gvisor_watch_action": "stop", "gvisor_must_sandbox": [{"name": f"{PROBE}*"}]}
    have_watch(watched, **stops)

    assert looked_at(watched, "plain", gvisor_proof="always", **stops) == {0}
    assert journal(node, PROBE) == []


@pytest.mark.slow
def test_without_it_in_the_data_nothing_of_it_is_left(watched: Fleet, node: LabNode) -> None:
    node.exec("mkdir", "-p", TEXTFILES)
    before = snapshot(node)
    have_watch(watched, **TEXT)
    assert within(SLACK_S, lambda: node.exec("test", "-s", TEXTFILE).code == 0)

    gone = watched.run("plain", data=RELEASED)
    second = watched.run("plain", data=RELEASED)

    assert gone.code == 0, gone.text
    assert left(node) == []
    assert snapshot(node) == before
    assert second.idle


@pytest.mark.slow
def test_a_docker_that_does_not_answer_is_a_failed_unit_and_an_old_time(
    watched: Fleet, node: LabNode
) -> None:
    node.exec("install", "-d", "-o", "daemon", "-m", "0755", TEXTFILES)
    have_watch(watched, gvisor_watch_interval_s=600, **TEXT)
    assert within(SLACK_S, lambda: node.exec("test", "-s", TEXTFILE).code == 0)
    start(node, "watched-app", "--runtime=runsc", "--memory=128m", f"--label={RESOURCE_NAME}=shop")
    assert look_now(node) == 0
    seen = metrics(node)
    since = ("--since", node.exec("date", "+@%s").stdout.strip())

    with without_docker(node):
        code = look_now(node)
        failed = node.exec("systemctl", "--failed", "--plain", "--no-legend").stdout
        during = metrics(node)
    after = look_now(node)

    of_app = {name: value for name, value in used_by(seen, "watched-app").items() if value > 0}
    assert used_by(seen, "watched-app")["memory_limit_bytes"] == 128 * 2**20
    assert {"cpu_seconds_total", "memory_bytes", "pss_bytes"} <= of_app.keys()
    assert "unimplemented_syscalls_total" in used_by(seen, "watched-app")
    assert code != 0
    assert f"{UNIT}.service" in failed
    assert during == seen
    assert journal(node, "Docker does not answer, so no container was checked", options=since)
    assert after == 0
    assert metrics(node) != seen


@pytest.mark.slow
def test_it_looks_again_after_the_node_was_off(watched: Fleet, node: LabNode) -> None:
    have_watch(watched)
    bad = start(node, "watched-bad", "--restart=always", *COOLIFYS)

    node.kill()
    node.start()

    boot = ("--boot",)
    assert within(2 * INTERVAL_S + SLACK_S, lambda: journal(node, bad, options=boot))
