"""The lab itself, in a lab of its own beside the demo's."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.node.containers import must
from tests.table import table
from tools.lab import FLAVOURS, Lab, LabError, LabNode, NodeSpec
from tools.lab.recipe import resource
from tools.lab.spec import KINDS

pytestmark = pytest.mark.node

NAME = "gvisor-self"
SPECS = [NodeSpec(), NodeSpec(lived_in=True)]
# dockerd waits 15 s for it.
SLOW_CONTAINERD = b"""#!/bin/sh
[ -e /root/first ] || touch /root/first
[ $(($(date +%s) - $(stat -c %Y /root/first))) -ge 17 ] || exec sleep 60
exec containerd.real "$@"
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Removed at the end. Each test has its nodes from ``up``, which mends what another broke."""
    lab = Lab(NAME)
    lab.down()
    yield lab
    lab.down()


def test_two_processes_at_once_make_each_node_once() -> None:
    processes = [_up_in_a_process() for _ in range(2)]
    output = [process.communicate()[1] for process in processes]

    assert [process.returncode for process in processes] == [0, 0], output
    assert "".join(output).count(f"{NAME}-1: up,") == 1
    assert "".join(output).count(f"{NAME}-2: up,") == 1


def test_a_second_up_re_uses_the_nodes(lab: Lab) -> None:
    first = lab.up(SPECS)

    second = lab.up(SPECS)

    assert _ids(second) == _ids(first)
    assert [node.ssh_port for node in second] == [node.ssh_port for node in first]
    assert second[0].host_key() != second[1].host_key()


@table(
    "number, breaks",
    {
        "killed": (0, lambda _, node: node.kill()),
        "dockerd-does-not-answer": (
            0,
            lambda _, node: node.exec("systemctl", "stop", "docker.socket", "docker.service"),
        ),
        "not-finished": (
            1,
            lambda lab, node: lab.cache.ready(NAME, str(node.container.id)).unlink(),
        ),
    },
)
def test_a_node_that_does_not_work_is_replaced_and_the_others_stay(
    lab: Lab, number: int, breaks: Callable[[Lab, LabNode], object]
) -> None:
    before = lab.up(SPECS)
    breaks(lab, before[number])

    after = lab.up(SPECS)

    changed = [new != old for new, old in zip(_ids(after), _ids(before), strict=True)]
    assert changed == [number == 0, number == 1]
    assert [node.exec("docker", "info").code for node in after] == [0, 0]
    assert _running(after[1]) == {"shop-db", "old-sandbox"}


def test_a_node_keeps_its_port_and_its_host_key_over_a_power_cut(lab: Lab) -> None:
    node = lab.up(SPECS)[0]
    key = node.host_key()

    node.kill()
    node.start()

    assert node.host_key() == key
    assert _ssh(node, "true").returncode == 0
    assert _ids(lab.up(SPECS))[0] == node.container.id


def test_a_dockerd_that_gave_up_at_boot_is_started_again_without_systemd_too(lab: Lab) -> None:
    node = lab.up([*SPECS, NodeSpec(FLAVOURS["debian-13-sysvinit"])])[2]
    _inside(node, "mv", "/usr/bin/containerd", "/usr/bin/containerd.real")
    node.put("/usr/bin/containerd", SLOW_CONTAINERD, mode=0o755)
    node.kill()

    node.start()

    assert "dockerd ended at start 1 of 3" in node.container.logs().decode()
    assert node.host_key()


def test_ssh_checks_the_host_key_and_ends_at_a_user_who_needs_sudo(lab: Lab) -> None:
    node = lab.up(SPECS)[0]

    plain = _ssh(node, "id -un; docker ps")
    sudo = _ssh(node, "sudo docker ps --quiet")

    assert plain.stdout == "debian\n"
    assert "permission denied" in plain.stderr
    assert (sudo.returncode, sudo.stdout) == (0, "")


def test_a_plain_node_has_no_trace_of_ours_nor_of_others(lab: Lab) -> None:
    node = lab.up(SPECS)[0]

    files = node.exec("ls", "/etc/docker", "/usr/local/bin", "/root")

    assert files.stdout.split() == ["/etc/docker:", "/root:", "/usr/local/bin:"]
    assert _inside(node, "docker", "ps", "--all", "--quiet") == ""


def test_a_lived_in_node_has_what_others_left(lab: Lab) -> None:
    node = lab.up(SPECS)[1]

    assert _inside(node, "cat", "/etc/docker/daemon.json") == resource("lived-in.json")
    assert _running(node) == {"shop-db", "old-sandbox"}
    assert "gVisor" in _inside(node, "docker", "exec", "old-sandbox", "dmesg")
    assert _kernel(node, "shop-db") == _inside(node, "uname", "-v")
    assert _kernel(node, "old-sandbox") != _inside(node, "uname", "-v")


def test_a_container_that_is_not_ours_is_not_touched(lab: Lab) -> None:
    beside = Lab(f"{NAME}-beside")
    other = lab.client.containers.create(_some_image(lab), name=f"{beside.name}-1")
    try:
        for kind in KINDS:
            with pytest.raises(LabError, match="does not belong to this lab"):
                beside.up([NodeSpec(kind=kind)])
        beside.down()
        other.reload()
    finally:
        other.remove(force=True)


def test_down_leaves_nothing(lab: Lab) -> None:
    lab.up(SPECS[:1])

    lab.down()

    mine: dict[str, str | list[str] | bool] = {"label": f"pyinfra-gvisor.lab={NAME}"}
    assert lab.client.containers.list(all=True, filters=mine) == []
    assert lab.client.volumes.list(filters=mine) == []
    assert [v.name for v in lab.client.volumes.list() if NAME in str(v.name)] == []
    assert [n.name for n in lab.client.networks.list() if NAME in str(n.name)] == []
    assert not lab.cache.known_hosts(NAME).exists()
    lab.down()


def _ids(nodes: list[LabNode]) -> list[str | None]:
    return [node.container.id for node in nodes]


def _inside(node: LabNode, *command: str) -> str:
    return must(node, *command)


def _running(node: LabNode) -> set[str]:
    return set(_inside(node, "docker", "ps", "--format", "{{.Names}}").split())


def _kernel(node: LabNode, container: str) -> str:
    return _inside(node, "docker", "exec", container, "uname", "-v")


def _ssh(node: LabNode, command: str) -> subprocess.CompletedProcess[str]:
    options = {
        "UserKnownHostsFile": str(node.known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "BatchMode": "yes",
        "Port": str(node.ssh_port),
        "IdentityFile": str(node.key),
    }
    return subprocess.run(
        [
            "ssh",
            "-F/dev/null",
            *(f"-o{key}={value}" for key, value in options.items()),
            "debian@127.0.0.1",
            command,
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def _up_in_a_process() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tools", "lab", "up"],
        env={**os.environ, "GVISOR_LAB_NAME": NAME, "GVISOR_LAB_NODES": "2"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _some_image(lab: Lab) -> str:
    return str(lab.client.images.list(filters={"label": "pyinfra-gvisor.lab-image"})[0].id)
