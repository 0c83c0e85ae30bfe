"""Containers in a node's answer: what they asked for, and what their process is."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pyinfra_gvisor.node import parse_node
from tests.unit.answers import RUNSC, Running, answer, info, node

NASTY = (
    'quote " brace } bracket ] "Pid":1 \\ tab\t newline\n \u2028 end of node state gr\u00fc\u00df'
)


def test_a_sandbox_is_known_by_its_process_and_what_handles_its_runtime() -> None:
    sandbox = Running(
        "app",
        runtime="runsc",
        argv0="runsc-sandbox",
        executable="/opt/gvisor/releases/20260928.0/gvisor-bin/gvisor_sentry",
    )
    forged = replace(sandbox, name="forged", runtime="runc")

    found = node(
        containers=[sandbox, forged],
        releases=["20260928.0"],
        docker=info(runtimes={"runsc": RUNSC}),
        wrappers={RUNSC["path"]: "0a1b2c3d" + "0" * 56},
    ).containers

    assert [item.sandboxed for item in found] == [True, False]
    assert [item.release for item in found] == ["20260928.0", "20260928.0"]


@pytest.mark.parametrize(
    ("executable", "argv0"),
    [
        pytest.param("/usr/bin/sleep", "sleep", id="a-program"),
        pytest.param("/opt/gvisor/releases-old/20260928.0/runsc", "runsc", id="another-tree"),
        pytest.param("", "", id="process-gone"),
    ],
)
def test_a_container_of_runc_is_not_sandboxed_and_runs_from_no_release(
    executable: str, argv0: str
) -> None:
    running = Running("app", runtime="runsc", executable=executable, argv0=argv0)

    (container,) = node(containers=[running]).containers

    assert not container.sandboxed
    assert container.release is None


def test_containers_are_read_by_name_with_flags_and_mounts() -> None:
    found = node(
        containers=[
            Running("z", pid=3, auto_remove=True),
            Running("a", pid=2, mounts=("/data", "/var/run/docker.sock"), runtime="runsc"),
        ]
    ).containers

    assert [item.name for item in found] == ["a", "z"]
    assert [item.pid for item in found] == [2, 3]
    assert [item.runtime for item in found] == ["runsc", "runc"]
    assert [item.auto_remove for item in found] == [False, True]
    assert [item.docker_socket for item in found] == [True, False]


def test_nasty_strings_in_a_container_change_nothing_about_it() -> None:
    document = {
        "Id": "a" * 64,
        "Name": "/app",
        "State": {"Error": NASTY, "Pid": 42, "Health": {"Log": [{"Output": NASTY}]}},
        "HostConfig": {"Runtime": "runsc", "Annotations": {NASTY: NASTY}, "Binds": None},
        "Mounts": [{"Source": NASTY}, {"Type": "tmpfs"}],
        "Other": {"Pid": 7},
    }
    lines = answer()
    lines[-1:-1] = [f"process 42 /x y\t{NASTY!r}\t/x y\t0\t", f"container {json.dumps(document)}"]

    (container,) = parse_node(lines).containers

    assert (container.name, container.pid, container.runtime) == ("app", 42, "runsc")
    assert container.process.executable == "/x y"
    assert not container.docker_socket


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"Mounts": None}, "runc", id="no-mounts"),
        pytest.param({"HostConfig": {}}, "runc", id="no-runtime-named"),
        pytest.param({"HostConfig": {"Runtime": ""}}, "runc", id="empty-runtime"),
        pytest.param({"HostConfig": {"Runtime": "runsc"}}, "runsc", id="runsc"),
    ],
)
def test_what_docker_leaves_out_of_a_container_has_dockers_meaning(
    changes: dict[str, Any], expected: str
) -> None:
    document = {"Id": "b", "Name": "/x", "State": {"Pid": 5}, "HostConfig": {}, "Mounts": []}
    lines = answer()
    lines[-1:-1] = [f"container {json.dumps({**document, **changes})}"]

    (container,) = parse_node(lines).containers

    assert container.runtime == expected
