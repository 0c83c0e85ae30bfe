"""``audit/given.pl``: where mounts and guarded paths lie, and which engines run besides."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.audit.observed import Engine, Observed, parse_observed
from tests.unit.answers import compact
from tests.unit.fake_docker import Handler, container, daemon, routes, says
from tests.unit.node_script import Machine

ID = "e" * 64
PROFILE = "seccomp=" + json.dumps({"defaultAction": "SCMP_ACT_ALLOW" * 100})
ANSWERS_ALL = "/containers/json?all=1"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A node that is asked for all that an audit asks for."""
    return Machine(tmp_path, wide="yes", labels="", guarded=f"{tmp_path}/guarded\n/")


def told(machine: Machine, *documents: dict[str, Any], ids: str = "[]") -> Observed:
    """What the script tells of a daemon with these containers."""
    answers = routes(documents)
    answers[ANSWERS_ALL] = says(ids)
    with daemon(machine.socket, answers):
        return parse_observed(machine.output().rstrip("\n").split("\n"))


def given(machine: Machine, **host: Any) -> Any:
    """What a container of such a ``HostConfig`` was given."""
    document = container(1, 1, host=host)
    document["Config"]["Image"] = "shop"
    return told(machine, document).given[f"{1:064x}"]


def test_all_that_a_container_was_given_is_told(machine: Machine) -> None:
    device = {"PathOnHost": "/dev/sda", "PathInContainer": "/dev/x", "CgroupPermissions": "r"}
    request = {"Driver": "cdi", "Count": 0, "DeviceIDs": ["a/b=c"], "Capabilities": None}
    cpu = "/sys/devices/system/cpu/cpu0/thermal_throttle"

    seen = given(
        machine,
        Devices=[device],
        DeviceCgroupRules=["c 1:* rwm"],
        DeviceRequests=[{**request, "Options": {}}],
        SecurityOpt=["apparmor=unconfined", PROFILE],
        MaskedPaths=["/proc/kcore", cpu],
        ReadonlyPaths=[],
        Annotations={"io.kubernetes.cri.container-type": "container", "com.example": "x"},
    )

    assert seen.devices[0].host == "/dev/sda"
    assert seen.device_rules == ("c 1:* rwm",)
    assert seen.device_requests[0].ids == ("a/b=c",)
    assert seen.security[0] == "apparmor=unconfined"
    assert seen.security[1].startswith("seccomp={")
    assert len(seen.security[1]) < 90
    assert (seen.masked, seen.readonly) == (("/proc/kcore",), ())
    assert seen.annotations == {"io.kubernetes.cri.container-type": "container"}


def test_what_docker_does_not_say_is_not_empty(machine: Machine) -> None:
    seen = given(machine, Devices=None, SecurityOpt=None, MaskedPaths=None)

    assert (seen.devices, seen.security, seen.masked, seen.readonly) == ((), (), None, None)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("link", id="plain"),
        pytest.param("a\nb", id="two-lines"),
        pytest.param('q"\\', id="quoted"),
        pytest.param("ü", id="not-ascii"),
    ],
)
def test_a_mount_is_told_by_where_its_links_lead(machine: Machine, name: str) -> None:
    (machine.root / "real").mkdir()
    link = machine.root / name
    link.symlink_to(machine.root / "real")
    mounts = [{"Type": "bind", "Source": str(link), "RW": False}]

    seen = told(machine, container(1, 1, mounts=mounts))

    (mount,) = seen.given[f"{1:064x}"].mounts
    assert (mount.source, mount.writable) == (str(link), False)
    assert mount.places == (str(machine.root / "real"),)


def test_a_guarded_path_is_told_by_where_its_links_lead(machine: Machine) -> None:
    (machine.root / "data").mkdir()
    (machine.root / "guarded").symlink_to("data")

    seen = told(machine)

    assert seen.places == {f"{machine.root}/guarded": (f"{machine.root}/data",)}


def test_what_is_mounted_twice_is_told_by_both_paths(machine: Machine) -> None:
    first, second = machine.root / "first", machine.root / "second"
    first.mkdir()
    (first / "file").write_text("")
    second.symlink_to(first)  # as good as a mount: the same inode at another path
    (machine.root / "mountinfo").write_text(
        f"1 0 8:1 / / rw - ext4 /dev/sda rw\n"
        f"2 1 8:1 {first} {second} rw - ext4 /dev/sda rw\n"
        f"3 1 8:2 {first} {machine.root}/third rw - ext4 /dev/sdb rw\n"
    )
    mounts = [{"Type": "bind", "Source": str(first / "file"), "RW": True}]

    seen = told(machine, container(1, 1, mounts=mounts))

    (mount,) = seen.given[f"{1:064x}"].mounts
    assert mount.places == (f"{first}/file", f"{second}/file")


def test_what_is_gone_has_no_place(machine: Machine) -> None:
    mounts = [{"Type": "bind", "Source": "/nowhere/at/all", "RW": True}]

    seen = told(machine, container(1, 1, mounts=mounts))

    (mount,) = seen.given[f"{1:064x}"].mounts
    assert mount.places == ()


@contextmanager
def running(machine: Machine, program: str, *arguments: str, does: str = "read x") -> Iterator[int]:
    """A process of a program by that name, with these arguments; yields its PID."""
    path = machine.root / program
    shutil.copy("/bin/sh", path)
    words = [program, "-c", does, *arguments]
    started = subprocess.Popen(words, executable=path, stdin=subprocess.PIPE)
    try:
        yield started.pid
    finally:
        started.kill()
        started.communicate()


def of(seen: Observed, pid: int) -> list[Engine]:
    """What was told of that process; others may run on the machine."""
    return [item for item in seen.engines if item.pid == pid]


def test_a_label_makes_no_container_known(machine: Machine) -> None:
    listed = compact([{"Id": "d" * 64, "Labels": {"Id": ID}}])
    arguments = ("-namespace", "other", "-id", ID)
    with running(machine, "containerd-shim-runc-v2", *arguments) as pid:
        assert len(of(told(machine, ids=listed), pid)) == 1


def listing(*ids: str) -> str:
    """The list of all containers."""
    return compact([{"Id": item} for item in ids])


def test_a_shim_of_a_container_that_docker_does_not_know_is_told(machine: Machine) -> None:
    arguments = ("-namespace", "other", "-id", ID, "-address", "/run/c.sock")
    with running(machine, "containerd-shim-runc-v2", *arguments) as pid:
        (found,) = of(told(machine), pid)

    assert (found.program, found.namespace, found.id) == ("containerd-shim-runc-v2", "other", ID)
    assert (found.address, found.file) == (
        "/run/c.sock",
        f"{machine.root}/containerd-shim-runc-v2",
    )


def test_a_shim_of_dockers_own_container_is_none(machine: Machine) -> None:
    arguments = ("-namespace", "moby", "-id", ID)
    with running(machine, "containerd-shim-runc-v2", *arguments) as pid:
        assert of(told(machine, ids=listing(ID)), pid) == []


# Other threads of a process go on without the first one: exit(2) ends a thread, exit_group(2) all.
ENDED_LEADER = """exec 3<&0; python3 -c '
import ctypes, platform, sys, threading
threading.Thread(target=sys.stdin.read).start()
ctypes.CDLL(None).syscall(93 if platform.machine() == "aarch64" else 60, 0)
' <&3 & read x"""


@pytest.mark.parametrize(
    ("namespace", "does", "count"),
    [
        pytest.param("moby", "(read x); :", 1, id="something-runs-in-it"),
        pytest.param("moby", ENDED_LEADER, 1, id="something-whose-first-thread-has-ended"),
        pytest.param("moby", "read x", 0, id="nothing-does"),
        pytest.param("moby", "sleep 0.6; read x", 0, id="nothing-does-in-a-moment"),
        pytest.param("other", "read x", 1, id="one-of-another-engine"),
    ],
)
def test_a_shim_that_outlives_its_container_is_told_if_anything_runs_in_it(
    machine: Machine, namespace: str, does: str, count: int
) -> None:
    arguments = ("-namespace", namespace, "-id", ID)
    with running(machine, "containerd-shim-runc-v2", *arguments, does=does) as pid:
        assert len(of(told(machine), pid)) == count


def test_a_container_that_is_made_while_the_audit_looks_is_none(machine: Machine) -> None:
    answers = routes([])
    lists = iter([says("[]"), says(listing(ID))])

    def another_each_time(request: Handler) -> None:
        next(lists)(request)

    answers[ANSWERS_ALL] = another_each_time
    with (
        running(machine, "containerd-shim-runc-v2", "-id", ID) as pid,
        daemon(machine.socket, answers),
    ):
        seen = parse_observed(machine.output().rstrip("\n").split("\n"))

    assert of(seen, pid) == []


def test_a_plugin_of_docker_is_no_container_of_somebody_elses(machine: Machine) -> None:
    answers = routes([])
    answers[ANSWERS_ALL] = says("[]")
    arguments = ("-namespace", "plugins.moby", "-id", ID)
    with running(machine, "containerd-shim-runc-v2", *arguments) as pid:
        with daemon(machine.socket, {**answers, "/plugins": says(listing(ID))}):
            known = parse_observed(machine.output().rstrip("\n").split("\n"))
        machine.socket.unlink()
        with daemon(machine.socket, {**answers, "/plugins": says("[]")}):
            unknown = parse_observed(machine.output().rstrip("\n").split("\n"))

    assert (of(known, pid), len(of(unknown, pid))) == ([], 1)


@pytest.mark.parametrize("name", ["containerd-shim-runc-v2", "dockerd", "conmon"])
def test_a_process_that_only_calls_itself_so_is_none(machine: Machine, name: str) -> None:
    started = subprocess.Popen([name, "1000"], executable="/usr/bin/sleep")
    try:
        seen = told(machine)
    finally:
        started.kill()
        started.wait()

    assert of(seen, started.pid) == []


def test_what_a_container_runs_is_none_even_in_the_nodes_process_namespace(
    machine: Machine,
) -> None:
    program = machine.root / "conmon"
    shutil.copy("/bin/sh", program)
    script = f"'{program}' -c 'echo $$; read x'; true"
    parent = subprocess.Popen(
        ["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        alone = told(machine)
        machine.socket.unlink()
        below = told(machine, container(1, parent.pid))
    finally:
        parent.kill()
        parent.communicate()

    assert (len(of(alone, pid)), of(below, pid)) == (1, [])


def test_names_and_arguments_of_engines_may_be_any_bytes(machine: Machine) -> None:
    odd = "a\nengine socket\t1\tend of node state\x7f\udcff"
    with running(machine, "conmon", "-c", odd) as pid:
        seen = told(machine)

    assert len(of(seen, pid)) == 1
    assert seen.node.info is not None


def test_what_dockerd_uses_is_told_with_its_version(machine: Machine) -> None:
    components = [
        {"Name": "Engine", "Version": "26.1.5", "Details": {"Os": "linux"}},
        {"Name": "containerd", "Version": "1.7.24~ds1", "Details": {"GitCommit": "1.7.24~ds1"}},
        {"Name": "runc", "Version": "1.1.15+ds1", "Details": {"GitCommit": "1.1.15+ds1-2"}},
        {"Name": "docker-init", "Version": "0.19.0", "Details": {"GitCommit": ""}},
    ]
    answers = routes([])
    answers[ANSWERS_ALL] = says("[]")
    answers["/version"] = says(compact({"Platform": {"Name": ""}, "Components": components}))

    with daemon(machine.socket, answers):
        found = parse_observed(machine.output().rstrip("\n").split("\n"))

    assert {name: (item.version, item.commit) for name, item in found.components.items()} == {
        "Engine": ("26.1.5", "-"),
        "containerd": ("1.7.24~ds1", "1.7.24~ds1"),
        "runc": ("1.1.15+ds1", "1.1.15+ds1-2"),
    }


def test_a_dockerd_that_tells_no_components_is_told_all_the_same(machine: Machine) -> None:
    assert told(machine).components == {}
