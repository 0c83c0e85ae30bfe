"""Which runtimes and shims lead to gVisor past the judge, and which variables runsc obeys."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.base.scripts import program as load
from tests.table import table
from tests.unit.answers import info
from tests.unit.fake_docker import daemon, routes
from tests.unit.node_script import Machine
from tests.unit.shells import replaced


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A node whose dockerd is this process, and whose containerd has a PATH of its own."""
    found = Machine(tmp_path)
    (tmp_path / "docker.pid").write_text(str(os.getpid()))
    for name in ("shims", "engine"):
        (tmp_path / name).mkdir()
    program = Path(shutil.copy("/usr/bin/sleep", tmp_path / "engine" / "containerd"))
    given = {"PATH": f"{tmp_path}/none:{tmp_path}/shims", "GVISOR_ENFORCE_RELEASE": "SKIP"}
    with subprocess.Popen([program, "1000"], env=given) as running:
        yield found
        running.kill()


def program(path: Path, text: str = "") -> str:
    """Write a program, and return its path."""
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def test_a_shim_other_than_runcs_is_found_on_containerds_path_and_beside_it(
    machine: Machine,
) -> None:
    packaged = ("", "-shim", "-shim-runc-v1", "-shim-runc-v2", "-stress", "-shim-runsc-v1.old")
    for name in (*(f"containerd{end}" for end in packaged), "containerd-shim-runsc-v1", "runsc"):
        program(machine.root / "shims" / name)
    beside = program(machine.root / "engine" / "containerd-shim-kata-v2")
    (machine.root / "shims" / "containerd-shim-directory-v1").mkdir()

    with daemon(machine.socket, routes([])):
        found = machine.node()

    assert found.docker_error is None
    assert found.foreign_shims == (beside, f"{machine.root}/shims/containerd-shim-runsc-v1")


@pytest.mark.parametrize("end", ["runsc-v1-old", "kata-fc", "runc-v2-old", "runc-v3", "-x", "x-"])
def test_a_shim_is_found_by_whatever_last_word(machine: Machine, end: str) -> None:
    path = program(machine.root / "shims" / f"containerd-shim-{end}")

    with daemon(machine.socket, routes([])):
        found = machine.node()

    assert found.foreign_shims == (path,)


def test_shims_and_variables_are_found_where_dockerd_has_its_pid_file_elsewhere(
    machine: Machine,
) -> None:
    (machine.root / "docker.pid").unlink()
    path = program(machine.root / "shims" / "containerd-shim-runsc-v1")

    with daemon(machine.socket, routes([])):
        found = machine.node()

    assert found.foreign_shims == (path,)
    assert found.gvisor_variables == ("containerd GVISOR_ENFORCE_RELEASE",)


@table(
    "processes, expected",
    of_systemd=({7: (1, "/opt/containerd")}, "containerd /opt/containerd"),
    of_a_container=({7: (5, "/opt/containerd")}, ""),
    of_dockerd=(
        {6: (1, "/opt/dockerd"), 7: (6, "/opt/containerd (deleted)")},
        "dockerd /opt/dockerd, containerd /opt/containerd (deleted)",
    ),
    docker_in_docker=({6: (5, "/opt/dockerd"), 7: (6, "/opt/containerd")}, ""),
)
def test_engines_are_found_by_their_parents_where_systemd_listens_for_dockerd(
    tmp_path: Path, processes: dict[int, tuple[int, str]], expected: str
) -> None:
    for pid, (parent, exe) in processes.items():
        home = tmp_path / str(pid)
        home.mkdir()
        (home / "parent").write_text(str(parent))
        (home / "exe").symlink_to(exe)
    asks = """sub words { open my $file, "<", $_[0] or return ""; return <$file> // "" }
    sub parent { return words("/proc/$_[0]/parent") || 0 }"""
    prints = 'print join ", ", map { "$_->{name} $_->{file}" } engine_processes(1);'
    text = asks + load("dispatch/unjudged.pl") + prints

    ran = subprocess.run(
        ["perl", "-e", replaced(text, {"/run/docker.pid": tmp_path / "none", "/proc": tmp_path})],
        check=True,
        capture_output=True,
        text=True,
    )

    assert ran.stdout == expected


def test_a_variable_that_runsc_obeys_is_found_with_the_program_that_has_it(
    machine: Machine,
) -> None:
    with daemon(machine.socket, routes([])):
        found = machine.node()

    assert found.gvisor_variables == ("containerd GVISOR_ENFORCE_RELEASE",)


def test_a_runtime_that_leads_to_runsc_is_found_by_whatever_name(machine: Machine) -> None:
    root = machine.root
    ours = program(root / "runsc-of-a-release", "#!/bin/sh\n")
    (root / "linked").symlink_to(ours)
    release = machine.gvisor / "releases" / "20260928.0"
    release.mkdir(parents=True)
    os.link(ours, release / "runsc")
    entries: dict[str, dict[str, Any]] = {
        "direct": {"path": "/usr/local/bin/runsc"},
        "linked": {"path": f"{root}/linked"},
        "script": {"path": program(root / "script", '#!/bin/sh\nexec /opt/runsc-x/runsc "$@"')},
        "copied": {
            "path": program(root / "copied", "\x7fELF" + "." * 70 + "gvisor.dev/gvisor/runsc")
        },
        "crun": {"path": program(root / "crun", "\x7fELF, which may run instead of runsc")},
        "gone": {"path": f"{root}/gone"},
        "ours": {"path": f"{machine.gvisor}/runtimes/runsc-20260928.0-01234567"},
    }
    shims = {
        "typed": {"runtimeType": "io.containerd.runsc.v1"},
        "named": {
            "runtimeType": "io.containerd.runc.v2",
            "options": {"binary_name": "x", "BinaryName": "/usr/local/bin/runsc"},
        },
        "other": {"runtimeType": "io.containerd.kata.v2"},
        "wrong": "text",
    }
    machine.daemon_json.write_text(json.dumps({"runtimes": shims}))
    told = info(Runtimes={**entries, "typed": {}, "named": {}, "other": {}})

    with daemon(machine.socket, routes([], told)):
        found = machine.node()

    assert found.docker_error is None
    assert found.foreign_runsc == ("copied", "direct", "linked", "named", "script", "typed")


def test_a_fifo_as_daemon_json_does_not_hold_up_what_reads_the_node(machine: Machine) -> None:
    os.mkfifo(machine.daemon_json)

    with daemon(machine.socket, routes([])):
        found = machine.node()

    assert found.docker_error is None
