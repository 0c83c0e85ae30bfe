"""The resident judge of the default runtime: asked when it is there, and missed by nobody."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.node.audits import sh
from tests.node.dispatching import DEFAULT, IMAGE, Ground, in_sandbox, start
from tests.node.egress_nodes import at_once
from tests.node.faults import wait_for
from tests.node.running import remove_containers
from tools.lab import LabNode

pytestmark = pytest.mark.slow

NODES = ("docker-20", "docker-29")  # the oldest and the newest systemd of the lab
UNIT = "pyinfra-gvisor-judge"
UNITS = f"/etc/systemd/system/{UNIT}"
PYTHON = "/usr/bin/python3"
MAIN_PID = f"systemctl show -p MainPID --value {UNIT}"
WAITS_S = 5
"""How long a wrapper waits for the resident judge before it runs the program itself."""
WATCHDOG_S = 10
START_S = 30
"""Within which a container starts while other labs load the machine, once it is decided where."""

KILLER = f"""
for _ in $(seq 60); do
    pid=$({MAIN_PID})
    if [ "$pid" != 0 ]; then kill -9 "$pid"; fi
    sleep 0.1
done > /dev/null 2>&1 &
"""


@pytest.fixture(scope="module")
def resident(dispatch: Ground) -> Iterator[dict[str, LabNode]]:
    """Nodes where gVisor is the default, as a deploy has left them."""
    dispatch.deploy(*NODES, **DEFAULT)
    yield dispatch.ready(*NODES)
    dispatch.deploy(*NODES, **DEFAULT)


def states(node: LabNode) -> list[str]:
    """Return the states of the socket and of the service."""
    return node.exec("systemctl", "is-active", f"{UNIT}.socket", UNIT).stdout.split()


def starts(node: LabNode, name: str) -> float:
    """Start a container, check that it is in a sandbox, remove it; return how long that took."""
    began_s = time.monotonic()
    start(node, name)
    took_s = time.monotonic() - began_s
    assert in_sandbox(node, name)
    remove_containers(node, f"^/{name}$")
    return took_s


@pytest.mark.parametrize("kind", NODES)
def test_it_sees_every_mount_as_dockerd_does(resident: dict[str, LabNode], kind: str) -> None:
    node = resident[kind]

    pid = sh(node, MAIN_PID).strip()
    spaces = sh(
        node, f"readlink /proc/{pid}/ns/mnt /proc/1/ns/mnt /proc/{pid}/ns/pid /proc/1/ns/pid"
    )

    assert states(node) == ["active", "active"]
    assert len({*spaces.split()}) == 2
    assert sh(node, "stat -c %a:%U /run/pyinfra-gvisor /run/pyinfra-gvisor/judge.sock").split() == [
        "700:root",
        "600:root",
    ]


@pytest.mark.parametrize("kind", NODES)
def test_a_start_asks_it(resident: dict[str, LabNode], kind: str) -> None:
    """Without Python a wrapper cannot run the program itself, so only the resident one is left."""
    node = resident[kind]
    pid = sh(node, MAIN_PID)

    sh(node, f"mv {PYTHON} {PYTHON}.away")
    try:
        start(node, "asks")
        sh(node, f"systemctl stop {UNIT}.socket")
        alone = node.exec("docker", "run", "--rm", IMAGE, "true")
    finally:
        sh(node, f"mv {PYTHON}.away {PYTHON}; systemctl start {UNIT}.socket")

    assert in_sandbox(node, "asks")
    remove_containers(node, "^/asks$")
    assert pid.strip() != "0"
    assert alone.code != 0
    assert f"{PYTHON} is missing" in alone.stderr


def test_while_it_is_killed_again_and_again_every_container_starts(
    resident: dict[str, LabNode],
) -> None:
    def crowd(kind: str) -> list[float]:
        sh(resident[kind], KILLER)
        return [starts(resident[kind], f"killed-{number}") for number in range(5)]

    took_s = at_once(crowd, NODES)

    assert max(map(max, took_s.values())) < WAITS_S + START_S
    for node in resident.values():
        wait_for(node, f"systemctl is-active {UNIT}", timeout_s=20)


def test_one_that_hangs_holds_a_start_up_for_seconds_and_is_replaced(
    resident: dict[str, LabNode],
) -> None:
    def hang(kind: str) -> float:
        node = resident[kind]
        pid = sh(node, MAIN_PID).strip()
        sh(node, f"kill -STOP {pid}")
        took_s = starts(node, "hangs")
        other = f'pid=$({MAIN_PID}); [ "$pid" != 0 ] && [ "$pid" != {pid} ]'
        wait_for(node, other, timeout_s=2 * WATCHDOG_S)
        return took_s

    took_s = at_once(hang, NODES)

    assert max(took_s.values()) < WAITS_S + START_S
    for node in resident.values():
        wait_for(node, f"systemctl is-active {UNIT}", timeout_s=20)


GONE = {
    "stopped": f"systemctl stop {UNIT}.socket",
    "masked": f"ln -sf /dev/null {UNITS}.service; systemctl daemon-reload; systemctl stop {UNIT}",
    "removed": f"systemctl stop {UNIT}.socket; rm {UNITS}.*; systemctl daemon-reload",
    "stale": f"systemctl kill -s KILL {UNIT}.service; systemctl stop {UNIT}.socket; "
    "touch /run/pyinfra-gvisor/judge.sock",
}


@pytest.mark.parametrize("fault", GONE)
def test_without_it_containers_start_and_the_next_run_brings_it_back(
    resident: dict[str, LabNode], dispatch: Ground, fault: str
) -> None:
    at_once(lambda kind: sh(resident[kind], GONE[fault]), NODES)

    took_s = at_once(lambda kind: starts(resident[kind], "without"), NODES)
    down = [states(node) for node in resident.values()]
    dispatch.deploy(*NODES, **DEFAULT)
    second = dispatch.run(*NODES, **DEFAULT)

    assert max(took_s.values()) < START_S
    assert ["active", "active"] not in down
    assert [states(node) for node in resident.values()] == [["active", "active"]] * len(NODES)
    assert second.idle, second.text


def test_after_a_power_cut_its_socket_is_there_before_docker(resident: dict[str, LabNode]) -> None:
    node = resident[NODES[-1]]
    remove_containers(node, ".")

    node.kill()
    node.start()

    since = "systemctl show -p ActiveEnterTimestampMonotonic --value"
    socket, dockerd = sh(node, f"{since} {UNIT}.socket docker.service").split()
    wait_for(node, f"systemctl is-active {UNIT}", timeout_s=20)
    assert 0 < int(socket) < int(dockerd)
    starts(node, "after-boot")
