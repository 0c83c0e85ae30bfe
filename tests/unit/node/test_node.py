"""A node's answer, read; one that cannot be trusted is a ValueError: that host fails, no other."""

import inspect
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from pyinfra_gvisor.audit import observed
from pyinfra_gvisor.node import LISTS, Node, parse_node
from pyinfra_gvisor.node.docker_info import DockerInfo
from tests.table import table
from tests.unit.answers import (
    BOOT_ID,
    EARLIER_S,
    END,
    IDENTITY,
    LATER_S,
    RUNSC,
    STARTED_S,
    UNIT_FLAGS,
    Running,
    answer,
    in_base64,
    info,
    node,
)


def test_a_plain_node_is_read_and_its_dockerd_with_start_and_flags() -> None:
    plain = {
        "kernel": "6.12.9+deb13-amd64",
        "page_size_bytes": 4096,
        "cgroup_version": 2,
        "init": "systemd",
        "distribution": "debian",
        "distribution_version": "13",
        "distribution_codename": "trixie",
        "max_user_namespaces": 63254,
        "boot_id": BOOT_ID,
        "docker_client": "docker",
        "flags": UNIT_FLAGS,
        "next_arguments": None,
    }

    found = node()

    assert {name: getattr(found, name) for name in plain} == plain
    dockerd = found.dockerd
    assert (dockerd.pid, dockerd.identity, dockerd.started_s) == (812, IDENTITY, STARTED_S)
    assert dockerd.arguments == UNIT_FLAGS


@table(
    "uname, arch, kernel_version",
    arm64=("6.1.0-40-arm64 aarch64", "aarch64", (6, 1)),
    arm64_by_another_name=("6.1.0 arm64", "aarch64", (6, 1)),
    amd64=("5.15.0-91-generic amd64", "x86_64", (5, 15)),
    unknown_arch=("4.19-rc1 armv7l", "armv7l", (4, 19)),
    one_number=("6 x86_64", "x86_64", (0, 0)),
    no_number=("next-20260101 x86_64", "x86_64", (0, 0)),
)
def test_kernel_and_architecture_are_read_from_uname(
    uname: str, arch: str, kernel_version: tuple[int, int]
) -> None:
    found = node(uname=uname)

    assert (found.arch, found.kernel_version) == (arch, kernel_version)


@table(
    "written_s, started_s",
    at_the_start=(STARTED_S + 0.25, STARTED_S),
    clock_set_forward_after_the_start=(STARTED_S - 3599.75, STARTED_S - 3599.75),
    clock_set_back_after_the_start=(STARTED_S + 3600.25, STARTED_S),
)
def test_dockerds_start_is_the_older_of_its_two_times(written_s: float, started_s: float) -> None:
    assert node(pid_file_mtime=str(written_s)).dockerd.started_s == started_s


@table(
    "flags",
    none=(),
    space_newline_and_nothing=("--label", "a b\nc", "", "-D"),
    unicode_and_quote=("--label=gr\u00fc\u00df", '"'),
)
def test_dockerds_flags_are_read_word_by_word(flags: tuple[str, ...]) -> None:
    assert node(flags=flags).dockerd.arguments == flags


def test_a_start_of_dockerd_has_identity_and_starter_and_a_newer_unit_the_flags_of_the_next() -> (
    None
):
    unit = in_base64("ExecStart=/usr/sbin/dockerd $DOCKER_OPTS --debug")
    identities = {
        node(**given).dockerd.identity  # type: ignore[union-attr]
        for given in ({}, {"ticks": 6_001}, {"boot_id": "another"})
    }
    starters = (node(supervisor=it).supervisor for it in ("systemd docker.service", "process"))

    found = node(unit=unit, docker_opts=in_base64('DOCKER_OPTS="--dns 9.9.9.9"\n'))

    assert len(identities) == 3
    assert found.next_arguments == ("--dns", "9.9.9.9", "--debug")
    assert found.flags == (*UNIT_FLAGS, "--dns", "9.9.9.9", "--debug")
    kinds = [(starter.kind, starter.unit) for starter in starters]
    assert kinds == [("systemd", "docker.service"), ("process", "")]


def test_docker_info_is_read() -> None:
    docker = info(
        runtimes={"runsc": {"path": "/x", "runtimeArgs": ["--a"], "status": {"y": "z"}}},
        default_runtime="runsc",
        live_restore=True,
    )

    found = node(docker=docker).info

    assert (found.server_version, found.runtimes["runsc"].path) == ("29.8.2", "/x")
    assert found.runtimes["runsc"].arguments == ("--a",)
    assert found.runtimes["runc"].arguments is None
    assert (found.default_runtime, found.live_restore) == ("runsc", True)
    assert (found.root_dir, found.logging_driver) == ("/var/lib/docker", "json-file")
    assert found.cgroup_driver == "systemd"
    assert "name=apparmor" in found.security_options


@table(
    "swarm, active",
    pending=({"LocalNodeState": "pending"}, True),
    inactive=({"LocalNodeState": "inactive"}, False),
    empty=({"LocalNodeState": ""}, False),
    nothing_said=({}, False),
)
def test_a_node_is_in_swarm_mode_unless_it_denies_it(swarm: dict[str, str], active: bool) -> None:
    docker = DockerInfo.model_validate({"ServerVersion": "26", "Swarm": swarm})

    assert docker.swarm_active is active


def test_a_file_that_was_put_there_later_was_changed_later_and_one_that_is_no_text_is_there() -> (
    None
):
    found = node(daemon_json="{}", mtime_s=EARLIER_S, daemon_json_ctime=f"{LATER_S}.125")
    odd = node(daemon_json=b'{"a": "\xe4"}').daemon_json

    assert found.daemon_json.changed_s == LATER_S + 0.125
    assert node(daemon_json="{}", mtime_s=EARLIER_S).daemon_json.changed_s == EARLIER_S
    assert (odd.state, odd.text, odd.mode) == ("not utf-8", None, "644")
    assert odd.sha256


@pytest.mark.parametrize("state", ["absent", "unreadable", "directory", "dangling"])
def test_a_daemon_json_that_is_no_text_says_what_it_is(state: str) -> None:
    found = parse_node([*answer(without=("daemon_json",))[:-1], f"daemon_json {state}", END])

    assert (found.daemon_json.state, found.daemon_json.text) == (state, None)


def test_a_node_prints_as_json_and_is_read_back_and_lines_that_nobody_knows_are_passed_over() -> (
    None
):
    found = node(containers=[Running("app")], daemon_json="{}", releases=["20260928.0"])
    lines = ["something new", "", "Warning: the login shell says hello"]

    assert Node.model_validate(json.loads(json.dumps(found.to_json()))) == found
    assert parse_node([*lines, *answer()]) == parse_node(answer())


def test_no_line_of_a_nodes_state_has_a_name_that_an_audit_reads_for_something_else() -> None:
    read = set(re.findall(r'_of\(output, "(\w+)"\)', inspect.getsource(observed)))

    assert "sandbox" in read
    assert read & set(LISTS) == {"container"}  # an audit asks Docker for more of it


def with_line(line: str) -> list[str]:
    """A good answer, with one more line that counts for more than an earlier one of its key."""
    return [*answer()[:-1], line, END]


def of_container(changes: dict[str, Any]) -> str:
    """The line of a container of which Docker tells this otherwise."""
    usual = {"Id": "b" * 64, "Name": "/x", "State": {"Pid": 5}, "HostConfig": {}, "Mounts": []}
    return f"container {json.dumps({**usual, **changes})}"


@table(
    "output",
    nothing=[],
    sudo=["sudo: a password is required"],
    last_line_missing=answer()[:-1],
    half=answer()[:5],
    last_line_garbled=[*answer()[:-1], END + "x"],
    last_line_glued_to_another=[*answer()[:-1], "container {" + END],
)
def test_an_answer_that_breaks_off_is_refused_and_says_so(output: list[str]) -> None:
    with pytest.raises(ValueError, match=f"ends after {len(output)} lines"):
        parse_node(output)


@pytest.mark.parametrize("key", ["uname", "page_size", "cgroup", "daemon_json", "clock"])
def test_an_answer_without_what_every_node_has_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="malformed"):
        parse_node(answer(without=(key,)))


@table(
    "line",
    uname_short="uname 6.12.9",
    page_size_no_number="page_size many",
    cgroup="cgroup x",
    os_short="os debian",
    user_namespaces="max_user_namespaces lots",
    dockerd_short="dockerd 812",
    dockerd_no_number="dockerd 812 x !!",
    dockerd_no_base64="dockerd 812 6000 !",
    clock="clock soon",
    daemon_json_empty="daemon_json",
    daemon_json_unknown_state="daemon_json gone",
    daemon_json_short="daemon_json text 644 0:0",
    daemon_json_mtime="daemon_json text 644 0:0 now abc e30=",
    daemon_json_base64="daemon_json text 644 0:0 1 abc e30",
    wrapper_short="wrapper abc",
    process_short="process 12",
    info_cut_off="info {",
    info_a_list="info []",
    info_without_version="info {}",
    info_wrong_type='info {"ServerVersion": 3}',
    container_cut_off="container {",
    container_null="container null",
    container_nested_too_deep="container " + "[" * 100_000,
    id_null=of_container({"Id": None}),
    name_null=of_container({"Name": None}),
    state_null=of_container({"State": None}),
    pid_no_number=of_container({"State": {"Pid": "x"}}),
    host_config_null=of_container({"HostConfig": None}),
    mount_text=of_container({"Mounts": ["x"]}),
    mounts_a_number=of_container({"Mounts": 7}),
)
def test_a_malformed_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="malformed"):
        parse_node(with_line(line))


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


@table(
    "executable, argv0",
    a_program=("/usr/bin/sleep", "sleep"),
    another_tree=("/opt/gvisor/releases-old/20260928.0/runsc", "runsc"),
    process_gone=("", ""),
)
def test_a_container_of_runc_has_no_sandbox_and_no_release(executable: str, argv0: str) -> None:
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

    assert ([item.name for item in found], [item.pid for item in found]) == (["a", "z"], [2, 3])
    assert [item.runtime for item in found] == ["runsc", "runc"]
    assert [item.auto_remove for item in found] == [False, True]
    assert [item.docker_socket for item in found] == [True, False]


@table(
    "changes",
    no_mounts={"Mounts": None},
    no_runtime_named={"HostConfig": {}},
    empty_runtime={"HostConfig": {"Runtime": ""}},
)
def test_what_docker_leaves_out_of_a_container_has_dockers_meaning(changes: dict[str, Any]) -> None:
    (container,) = parse_node(with_line(of_container(changes))).containers

    assert container.runtime == "runc"
