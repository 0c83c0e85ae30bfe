"""Who starts dockerd, with what and since when, as ``node_state.sh`` tells it."""

from __future__ import annotations

import base64
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyinfra_gvisor.node.dockerd_unit import Supervisor
from tests.table import table
from tests.unit.node_script import Machine, process
from tests.unit.shells import stub

OLD_S = 1_600_000_000
PROXY = "Environment=HTTPS_PROXY=http://user:password@proxy"
UNIT, SNAP = "/system.slice/docker.service", "snap.docker.dockerd.service"
V1 = "9:name=systemd:{0}\n8:pids:{0}\n7:blkio:/\n0::{0}\n"


@pytest.fixture
def dockerd(machine: Machine) -> Iterator[int]:
    """A process called dockerd, in the machine's pid file; on a machine with systemd."""
    program = machine.root / "dockerd"
    shutil.copy("/usr/bin/sleep", program)
    (machine.root / "run-systemd").mkdir()
    with process("dockerd", str(program)) as pid:
        (machine.root / "docker.pid").write_text(str(pid))
        machine.cgroup.write_text("0::/system.slice/docker.service\n")
        yield pid


@table(
    "cgroup, supervisor",
    v2=(f"0::{UNIT}\n", "systemd docker.service"),
    cgroup_v1=(V1.format(UNIT), "systemd docker.service"),
    node_in_a_container=(V1.format(f"/docker/0123{UNIT}"), "systemd docker.service"),
    snap=(f"0::/system.slice/{SNAP}\n", f"systemd {SNAP}"),
    own_unit=("0::/docker.slice/moby.service\n", "systemd moby.service"),
    by_hand_over_ssh=("0::/system.slice/ssh.service\n", "process"),
    session=("0::/user.slice/user-0.slice/session-3.scope\n", "process"),
    a_users_own=("0::/user.slice/user@1000.service/app.slice/docker.service\n", "process"),
    docker_exec=("9:name=systemd:/\n0::/\n", "process"),
    another_hierarchy=(f"5:cpu:{UNIT}\n", "process"),
)
def test_the_control_group_tells_who_starts_dockerd(
    machine: Machine, dockerd: int, cgroup: str, supervisor: str
) -> None:
    machine.units.mkdir()
    (machine.units / "moby.service").write_text("[Service]\nExecStart=/usr/bin/dockerd\n")
    (machine.units / "ssh.service").write_text("[Service]\nExecStart=/usr/sbin/sshd\n")
    machine.cgroup.write_text(cgroup)

    assert machine.node().supervisor == Supervisor.of(supervisor)


@table(
    "files, supervisor",
    nothing=({}, "process"),
    by_hand_beside_the_script=({"init-script": ""}, "process"),
    stale_script=({"init-script": "", "docker-ssd.pid": "1\n"}, "process"),
    debians_script=({"init-script": "", "docker-ssd.pid": "@"}, "sysvinit"),
    red_hats_script=({"init-script": "", "subsys": ""}, "sysvinit"),
    openrc=({"init-script": "", "openrc/started/docker": ""}, "openrc"),
)
def test_without_systemd_an_init_script_is_asked_only_about_what_it_has_started(
    machine: Machine, dockerd: int, files: dict[str, str], supervisor: str
) -> None:
    (machine.root / "run-systemd").rmdir()
    for name, content in files.items():
        path = machine.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content.replace("@", str(dockerd)))

    assert machine.node().supervisor == Supervisor.of(supervisor)


@table(
    "name, supervisor",
    systemd=("run-systemd", "systemd docker.service"),
    init_script=("init-script", "sysvinit"),
    neither=("something", "process"),
)
def test_a_dockerd_that_does_not_run_is_started_by_what_is_there(
    machine: Machine, name: str, supervisor: str
) -> None:
    (machine.root / name).mkdir()

    assert machine.node().supervisor == Supervisor.of(supervisor)


def test_a_drop_in_newer_than_dockerd_tells_the_next_start(machine: Machine, dockerd: int) -> None:
    stub(machine.path, "systemctl", "echo 'ExecStart=/usr/sbin/dockerd -H fd:// $DOCKER_OPTS'")
    unit = machine.units / "docker.service.d" / "debug.conf"
    unit.parent.mkdir(parents=True)
    unit.write_text(f"[Service]\n{PROXY}\nExecStart=\nExecStart=dockerd \\\n--debug $DOCKER_OPTS")
    machine.defaults.write_text('# a remark\nDOCKER_OPTS="--icc=false"\n')

    _age(machine.root / "docker.pid")

    assert machine.node().next_arguments == ("--debug", "--icc=false")
    assert base64.b64encode(PROXY.encode())[:20].decode() not in machine.output()


def test_a_unit_older_than_dockerd_costs_no_question(machine: Machine, dockerd: int) -> None:
    stub(machine.path, "systemctl", f"touch '{machine.root}/asked'")
    machine.units.mkdir()
    (machine.units / "docker.service").write_text("ExecStart=/usr/sbin/dockerd --debug\n")
    _age(machine.units / "docker.service")

    assert machine.node().next_arguments is None
    assert not (machine.root / "asked").exists()


def test_a_copy_with_the_time_of_an_old_file_is_newer(machine: Machine, dockerd: int) -> None:
    old = machine.root / "old.json"
    old.write_text("{}")
    _age(old)
    time.sleep(0.05)
    shutil.copy2(old, machine.daemon_json)

    found = machine.node()

    assert old.stat().st_mtime < found.dockerd.started_s < found.daemon_json.changed_s


def test_a_pid_file_older_than_ticks_tells_dockerds_start(machine: Machine, dockerd: int) -> None:
    _age(machine.root / "docker.pid")

    assert machine.node().dockerd.started_s == OLD_S


def _age(path: Path) -> None:
    os.utime(path, (OLD_S, OLD_S))
