"""The stand-in for Coolify's control host behaves as Coolify's does where tests rely on it."""

from collections.abc import Iterator

import pytest

from tests.coolify.host import SOURCE, VERSIONS, ControlHost
from tests.node.coolify_nodes import Coolify
from tests.node.watching import within
from tests.table import table
from tools.lab import Ran

CURRENT = next(iter(VERSIONS))
RETURN = b"    return $compose_options->toArray();\n"
BY_HAND = b"    $compose_options->put('by_hand', true);\n"
CUSTOM = f"{SOURCE}/docker-compose.custom.yml"
ENTRY = f"{SOURCE}/entry.sh"
MOUNTED = f"""services:
  coolify:
    volumes:
      - {ENTRY}:/etc/entrypoint.d/50-test.sh:ro
"""
SECOND_LIFE_S = 10


@pytest.fixture
def host(coolify: Coolify) -> Iterator[ControlHost]:
    """A control host that is as its image is, before and after."""
    yield coolify.control
    coolify.control.node.exec("rm", "-f", CUSTOM)
    coolify.control.upgrade(CURRENT)
    # Not before: Docker makes a directory of a mounted file that is gone when the container starts.
    coolify.control.node.exec("rm", "-f", ENTRY)


def test_a_worker_keeps_its_code_until_horizon_is_terminated(host: ControlHost) -> None:
    master = host.horizon_pid()
    change_by_hand(host)

    before = host.deploy("--cap-drop=ALL")
    host.terminate_horizon()
    renewed = within(SECOND_LIFE_S, lambda: host.horizon_pid() not in (None, master))
    after = host.deploy("--cap-drop=ALL")

    assert before == {"cap_drop": ["ALL"]}
    assert renewed
    assert after == {"cap_drop": ["ALL"], "by_hand": True}


def test_the_web_side_sees_a_change_at_once(host: ControlHost) -> None:
    change_by_hand(host)

    ask = ("curl", "-fsS", "http://127.0.0.1:8000/convert?options=--init")
    assert within(SECOND_LIFE_S, lambda: "by_hand" in host.node.exec(*ask).stdout)


def test_a_restart_keeps_a_change_and_an_upgrade_loses_it(host: ControlHost) -> None:
    original = host.source_bytes()
    container = host.container_id()
    changed = change_by_hand(host)

    host.restart()
    restarted = (host.container_id(), host.source_bytes(), host.deploy("--init"))
    upgraded = host.upgrade(CURRENT)

    assert restarted == (container, changed, {"init": True, "by_hand": True})
    assert upgraded.code == 0, upgraded.stderr
    assert host.container_id() != container
    assert host.source_bytes() == original
    assert host.deploy("--init") == {"init": True}


def test_an_entry_script_runs_as_www_data_before_horizon(host: ControlHost) -> None:
    script = "id -u > /tmp/entry; ps | grep -c '[a]rtisan' >> /tmp/entry || true\n"

    started = start_with(host, script)

    assert started.code == 0, started.stderr
    assert host.inside("cat", "/tmp/entry").split() == ["9999", "0"]
    assert host.inside("ls", "/tmp/own-entry-ran")


@table("script", {"exit": "exit 1\n", "failing-command": "false\n"})
def test_an_entry_script_that_fails_stops_the_container_from_starting(
    host: ControlHost, script: str
) -> None:
    started = start_with(host, script)

    state = ("docker", "inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "coolify")
    assert started.code != 0, started.stderr
    assert within(SECOND_LIFE_S, lambda: host.node.exec(*state).stdout == "restarting 1\n")
    assert "Development Server" not in host.node.exec("docker", "logs", "coolify").stderr


def test_a_running_deployment_is_finished_before_the_worker_ends(host: ControlHost) -> None:
    master = host.horizon_pid()
    running = host.submit("--init", sleep_s=15)
    assert within(SECOND_LIFE_S, lambda: host.is_running(running))

    host.terminate_horizon()
    waiting = host.submit("--privileged")
    meanwhile = (host.horizon_pid(), host.is_running(running), host.is_running(waiting))

    assert meanwhile == (master, True, False)
    assert host.result(running)["options"] == {"init": True}
    assert host.result(waiting)["options"] == {"privileged": True}
    assert host.horizon_pid() != master


def test_a_restart_of_the_container_kills_a_running_deployment(host: ControlHost) -> None:
    running = host.submit("--init", sleep_s=60)
    assert within(SECOND_LIFE_S, lambda: host.is_running(running))

    host.restart()

    assert host.deploy("--privileged") == {"privileged": True}
    assert not host.inside("sh", "-c", f"ls {running}.json 2>&1 || true").startswith("/")


def change_by_hand(host: ControlHost) -> bytes:
    """Write a docker.php that gives one option more; what it is now."""
    source = host.source_bytes()
    assert source.count(RETURN) == 1
    changed = source.replace(RETURN, BY_HAND + RETURN)
    host.write_source(changed)
    return changed


def start_with(host: ControlHost, script: str) -> Ran:
    """Upgrade with an entry script more, mounted by the custom compose file; how that ended."""
    host.node.put(ENTRY, script.encode())
    host.node.put(CUSTOM, MOUNTED.encode())
    return host.upgrade(CURRENT, wait_s=5)
