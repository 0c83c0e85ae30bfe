"""Which runtimes and shims lead to gVisor past the judge, and which variables runsc obeys."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.answers import info
from tests.unit.fake_docker import daemon, routes
from tests.unit.node_script import Machine


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
    names = ("containerd-shim-runsc-v1", "containerd-shim-runc-v2", "containerd-shim", "runsc")
    for name in names:
        program(machine.root / "shims" / name)
    beside = program(machine.root / "engine" / "containerd-shim-kata-v2")
    (machine.root / "shims" / "containerd-shim-directory-v1").mkdir()

    with daemon(machine.socket, routes([])):
        found = machine.node()

    assert found.docker_error is None
    assert found.foreign_shims == (beside, f"{machine.root}/shims/containerd-shim-runsc-v1")


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
