"""Which runc a node has where Docker 29 does not tell it, and whether its kernel has core tags."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.unit.answers import info
from tests.unit.fake_docker import daemon, routes
from tests.unit.node_script import Machine
from tests.unit.shells import stub


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A node with perl."""
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("docker", "version"),
    [
        pytest.param(info(ServerVersion="29.7.1", RuncCommit={"ID": ""}), "1.1.15", id="ubuntu"),
        pytest.param(
            info(ServerVersion="29.7.1", RuncCommit={"ID": "0123abcd"}), "1.1.15", id="hash"
        ),
        pytest.param(info(ServerVersion="29.7.1", RuncCommit=None), "1.1.15", id="null"),
        pytest.param(
            info(
                default_runtime="runsc",
                ServerVersion="29.7.1",
                RuncCommit={"ID": "v9.9.9-0-g0123abcd"},
            ),
            "1.1.15",
            id="of-another-runtime",
        ),
        pytest.param(
            info(ServerVersion="29.7.1", RuncCommit={"ID": "v1.3.3-0-gd842d771"}),
            None,
            id="docker-tells",
        ),
        pytest.param(
            info(ServerVersion="29.7.1", RuncCommit={"ID": "1.1.15+ds1-2+b4"}),
            None,
            id="docker-tells-debians",
        ),
        pytest.param(info(ServerVersion="28.5.2", RuncCommit={"ID": ""}), None, id="older-docker"),
    ],
)
def test_runc_is_asked_for_its_version_where_docker_29_does_not_tell_it(
    machine: Machine, docker: dict[str, Any], version: str | None
) -> None:
    stub(machine.path, "runc", "printf 'runc version 1.1.15\\nspec: 1.0.2-dev\\n'")

    with daemon(machine.socket, routes([], docker)):
        found = machine.node()

    assert found.info
    assert found.runc_version == version


@pytest.mark.parametrize(
    "runc",
    [
        pytest.param(None, id="missing"),
        pytest.param("exit 1", id="fails"),
        pytest.param("echo crun version 1.14", id="another-program"),
    ],
)
def test_a_runc_that_tells_nothing_is_no_error(machine: Machine, runc: str | None) -> None:
    if runc:
        stub(machine.path, "runc", runc)

    with daemon(machine.socket, routes([], info(ServerVersion="29.7.1"))):
        found = machine.node()

    assert found.info
    assert (found.runc_version, found.docker_error) == (None, None)


def test_a_kernel_without_core_scheduling_says_so(machine: Machine) -> None:
    cookie = "my $cookie = qq(\\0) x 8; print syscall($ARGV[0], 62, 0, 0, 0, $cookie) ? $! : q()"
    number = {"x86_64": "157", "aarch64": "167"}[platform.machine()]
    asked = subprocess.run(
        ["perl", "-e", cookie, number],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LC_ALL": "C"},
    )

    found = machine.node()

    assert found.info is None, "it is asked before there is a Docker"
    assert found.no_core_scheduling == (asked.stdout or None)
