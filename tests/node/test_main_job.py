"""A Docker node becomes a proven gVisor run node, on every version of Docker that we support."""

import json

import pytest

from pyinfra_gvisor.proof.checks import asked_of
from pyinfra_gvisor.runtimes.profiles import Runtime
from tests.node.containers import remove_container, start_container
from tests.node.proving import OF_PARTS
from tests.node.running import HOME, RELEASE, SENTRY
from tests.node.seeing import daemon_json, docker_info, no_leftovers, processes
from tests.node.story import LIVED_IN, NODES, Story
from tests.node.transactions import FORGETFUL
from tests.table import table
from tools.lab.parts import GVISOR

FOREIGN = (
    '   "max-concurrent-downloads":  5,',
    '	"log-opts": {"max-size": "50m",',
    '	"labels": [ "rack=b7","owner=shop" ]',
)


def test_a_dry_run_changes_nothing(story: Story) -> None:
    assert story.dry.code == 0, story.dry.text
    assert story.after_dry == story.before


@pytest.mark.parametrize("name", NODES)
def test_a_dry_run_says_what_would_happen_and_to_whom(story: Story, name: str) -> None:
    lines = [line for line in story.dry.stderr.splitlines() if f"[{name}]" in line]
    said = "\n".join(lines)

    assert f"install runsc {RELEASE} from" in said
    assert (
        f'+            "path": "/opt/gvisor/runtimes/runsc-{RELEASE}-' in said
        or '+         "path": ' in said
    )
    assert "restart, because dockerd reads these keys only at its start: " in said
    assert "/no-new-privileges" in said
    if name in LIVED_IN:
        assert "containers that keep running: old-sandbox, shop-db" in said
        assert '-         "runtimeArgs": ["--network=host", "--platform=ptrace"]' in said


def test_the_real_run_ends_well(story: Story) -> None:
    assert story.converge.code == 0, story.converge.text


@pytest.mark.parametrize("name", NODES)
def test_isolation_is_proven_with_a_negative_control(story: Story, name: str) -> None:
    rows = [
        line
        for line in story.converge.stderr.splitlines()
        if f"[{name}]" in line and "  runsc  " in line
    ]

    assert len(rows) == len(asked_of(Runtime()))
    assert all(row.endswith(("  ok", "  n/a")) for row in rows)
    spared = {row.split()[1] for row in rows if row.endswith("  n/a")}
    forgets = {"reload"} if name in FORGETFUL else set()
    assert spared - {"dns-external"} == OF_PARTS | forgets  # the lab may resolve
    assert any("docker-socket" in row and "refused" in row and " allowed " in row for row in rows)


@pytest.mark.parametrize("name", NODES)
def test_a_container_that_asks_for_runsc_gets_the_release(story: Story, name: str) -> None:
    node = story.nodes[name]

    start_container(node, "asks", "--runtime=runsc")
    executable = node.exec("readlink", f"/proc/{processes(node)['asks']}/exe").stdout.strip()
    kernel = node.exec("docker", "exec", "asks", "uname", "-v").stdout.strip()
    remove_container(node, "asks")

    assert executable == SENTRY
    assert kernel == "#1 SMP Sun Jan 10 15:06:54 PST 2016"


@table("name", {"uploaded": "plain", "downloaded": "lived-in"})
def test_a_node_knows_that_its_runsc_is_a_build_of_the_labs(story: Story, name: str) -> None:
    manifest = json.loads(story.nodes[name].exec("cat", f"{HOME}/manifest.json").stdout)

    built = f"/lab-build-gvisor.dev-gvisor@{GVISOR.version}"
    assert built in manifest["source"]
    assert any(f"[{name}]" in line and built in line for line in story.dry.stderr.splitlines())


@pytest.mark.parametrize("name", NODES)
def test_the_daemon_is_hardened(story: Story, name: str) -> None:
    info = docker_info(story.nodes[name])
    start_container(story.nodes[name], "hardened", "--runtime=runc")
    pid = processes(story.nodes[name])["hardened"]
    status = story.nodes[name].exec("grep", "NoNewPrivs", f"/proc/{pid}/status").stdout
    remove_container(story.nodes[name], "hardened")

    assert info["LiveRestoreEnabled"] is True
    assert status.split() == ["NoNewPrivs:", "1"]
    assert info["Runtimes"]["runsc"]["path"].startswith(f"/opt/gvisor/runtimes/runsc-{RELEASE}-")
    assert not info["Runtimes"]["runsc"].get("runtimeArgs")


@pytest.mark.parametrize("name", LIVED_IN)
def test_foreign_keys_keep_their_bytes_and_their_order(story: Story, name: str) -> None:
    text = daemon_json(story.nodes[name])

    places = [text.index(line) for line in FOREIGN]
    assert places == sorted(places)
    assert list(json.loads(text))[:5] == [
        "max-concurrent-downloads",
        "log-opts",
        "runtimes",
        "log-driver",
        "labels",
    ]
    assert json.loads(text)["log-opts"] == {"max-size": "50m", "max-file": "5"}


@pytest.mark.parametrize("name", LIVED_IN)
def test_running_containers_are_the_same_processes_after_the_restart(
    story: Story, name: str
) -> None:
    assert story.processes[name].keys() == {"shop-db", "old-sandbox"}
    assert json.loads(story.converged[name].splitlines()[-1]) == story.processes[name]


@pytest.mark.parametrize("name", LIVED_IN)
def test_an_old_sandbox_still_answers_exec_stop_and_restart(story: Story, name: str) -> None:
    node = story.nodes[name]

    inside = node.exec("docker", "exec", "old-sandbox", "uname", "-v")
    restarted = node.exec("docker", "restart", "-t", "3", "old-sandbox")
    again = node.exec("docker", "exec", "old-sandbox", "uname", "-v")
    stopped = node.exec("docker", "stop", "-t", "3", "old-sandbox")
    started = node.exec("docker", "start", "old-sandbox")
    executable = node.exec("readlink", f"/proc/{processes(node)['old-sandbox']}/exe").stdout.strip()

    assert [ran.code for ran in (inside, restarted, again, stopped, started)] == [0] * 5
    assert inside.stdout == again.stdout == "#1 SMP Sun Jan 10 15:06:54 PST 2016\n"
    assert executable == SENTRY


def test_a_second_run_changes_nothing_and_says_so(story: Story) -> None:
    assert story.second.code == 0, story.second.text
    assert "Grand total" in story.second.stderr
    assert story.second.idle
    assert story.after_second == story.converged


@pytest.mark.parametrize("name", NODES)
def test_a_second_run_needs_one_exec_channel(story: Story, name: str) -> None:
    assert story.channels[name] == 1


@pytest.mark.parametrize("name", NODES)
def test_nothing_is_left_behind(story: Story, name: str) -> None:
    assert no_leftovers(story.nodes[name]) == ""


@pytest.mark.parametrize("name", NODES)
def test_nobody_but_root_can_hold_a_lock_of_ours(story: Story, name: str) -> None:
    held = "for lock in /run/pyinfra-gvisor/*.lock; do test -e $lock && flock -n $lock true; done"

    by_root = story.nodes[name].exec("sh", "-c", held)
    by_another = story.nodes[name].exec("su", "nobody", "-s", "/bin/sh", "-c", held)

    assert by_root.code == 0, by_root
    assert by_another.code != 0, by_another
