"""A node's answer, read; one that cannot be trusted is a ValueError: that host fails, no other."""

from __future__ import annotations

import base64
import inspect
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from pyinfra_gvisor.audit import observed
from pyinfra_gvisor.node import LISTS, Node, parse_node
from pyinfra_gvisor.node.docker_info import DockerInfo
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


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        pytest.param("arch", "x86_64", id="arch"),
        pytest.param("kernel", "6.12.9+deb13-amd64", id="kernel"),
        pytest.param("kernel_version", (6, 12), id="kernel-version"),
        pytest.param("page_size_bytes", 4096, id="page-size"),
        pytest.param("cgroup_version", 2, id="cgroup"),
        pytest.param("init", "systemd", id="init"),
        pytest.param("distribution", "debian", id="distribution"),
        pytest.param("distribution_version", "13", id="distribution-version"),
        pytest.param("distribution_codename", "trixie", id="codename"),
        pytest.param("max_user_namespaces", 63254, id="user-namespaces"),
        pytest.param("boot_id", BOOT_ID, id="boot-id"),
        pytest.param("docker_client", "29.8.2", id="docker-client"),
        pytest.param("docker_error", None, id="docker-error"),
        pytest.param("releases", (), id="releases"),
        pytest.param("wrappers", {}, id="wrappers"),
        pytest.param("runsc_link", None, id="runsc-link"),
        pytest.param("runsc_file", False, id="runsc-file"),
        pytest.param("containers", (), id="containers"),
        pytest.param("state", {}, id="state"),
    ],
)
def test_a_plain_node_is_read(attribute: str, value: object) -> None:
    assert getattr(node(), attribute) == value


@pytest.mark.parametrize(
    ("uname", "arch", "kernel_version"),
    [
        pytest.param("6.1.0-40-arm64 aarch64", "aarch64", (6, 1), id="arm64"),
        pytest.param("6.1.0 arm64", "aarch64", (6, 1), id="arm64-by-another-name"),
        pytest.param("5.15.0-91-generic amd64", "x86_64", (5, 15), id="amd64"),
        pytest.param("4.19-rc1 armv7l", "armv7l", (4, 19), id="unknown-arch"),
        pytest.param("6 x86_64", "x86_64", (0, 0), id="one-number"),
        pytest.param("next-20260101 x86_64", "x86_64", (0, 0), id="no-number"),
    ],
)
def test_kernel_and_architecture_are_read_from_uname(
    uname: str, arch: str, kernel_version: tuple[int, int]
) -> None:
    found = node(uname=uname)

    assert (found.arch, found.kernel_version) == (arch, kernel_version)


def test_the_running_dockerd_is_read_with_its_start_and_flags() -> None:
    dockerd = node().dockerd

    assert dockerd
    assert dockerd.pid == 812
    assert dockerd.identity == IDENTITY
    assert dockerd.started_s == STARTED_S
    assert dockerd.arguments == UNIT_FLAGS


@pytest.mark.parametrize(
    ("lines", "started_s"),
    [
        pytest.param({}, STARTED_S, id="no-pid-file-time"),
        pytest.param({"pid_file_mtime": f"{STARTED_S}.250"}, STARTED_S, id="written-at-the-start"),
        pytest.param(
            {"pid_file_mtime": f"{STARTED_S - 3600}.250"},
            STARTED_S - 3599.75,
            id="clock-set-forward-after-the-start",
        ),
        pytest.param(
            {"pid_file_mtime": f"{STARTED_S + 3600}.250"},
            STARTED_S,
            id="clock-set-back-after-the-start",
        ),
    ],
)
def test_dockerds_start_is_the_older_of_what_ticks_and_its_pid_file_say(
    lines: dict[str, str], started_s: float
) -> None:
    dockerd = node(**lines).dockerd

    assert dockerd
    assert dockerd.started_s == started_s


@pytest.mark.parametrize(
    ("line", "kind", "unit"),
    [
        pytest.param("systemd docker.service", "systemd", "docker.service", id="systemd"),
        pytest.param("sysvinit", "sysvinit", "", id="sysvinit"),
        pytest.param("openrc", "openrc", "", id="openrc"),
        pytest.param("process", "process", "", id="nobody"),
    ],
)
def test_who_starts_dockerd_is_read(line: str, kind: str, unit: str) -> None:
    supervisor = node(supervisor=line).supervisor

    assert (supervisor.kind, supervisor.unit) == (kind, unit)


def test_without_newer_files_dockerds_arguments_are_those_it_runs_with() -> None:
    found = node()

    assert found.next_arguments is None
    assert found.flags == UNIT_FLAGS


def test_a_newer_unit_adds_the_flags_of_the_next_start() -> None:
    unit = base64.b64encode(b"ExecStart=/usr/sbin/dockerd $DOCKER_OPTS --debug").decode()
    options = base64.b64encode(b'DOCKER_OPTS="--dns 9.9.9.9"\n').decode()

    found = node(unit=unit, docker_opts=options)

    assert found.next_arguments == ("--dns", "9.9.9.9", "--debug")
    assert found.flags == (*UNIT_FLAGS, "--dns", "9.9.9.9", "--debug")


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param((), id="none"),
        pytest.param(("--label", "a b\nc", "", "-D"), id="space-newline-and-nothing"),
        pytest.param(("--label=gr\u00fc\u00df", '"'), id="unicode-and-quote"),
    ],
)
def test_dockerds_flags_are_read_word_by_word(flags: tuple[str, ...]) -> None:
    dockerd = node(flags=flags).dockerd

    assert dockerd
    assert dockerd.arguments == flags


def test_every_start_of_dockerd_has_an_identity_of_its_own() -> None:
    identities = {
        node(**given).dockerd.identity  # type: ignore[union-attr]
        for given in ({}, {"ticks": 6_001}, {"boot_id": "another"})
    }

    assert len(identities) == 3


def test_docker_info_is_read() -> None:
    docker = info(
        runtimes={"runsc": {"path": "/x", "runtimeArgs": ["--a"], "status": {"y": "z"}}},
        default_runtime="runsc",
        live_restore=True,
    )

    found = node(docker=docker).info

    assert found
    assert found.server_version == "29.8.2"
    assert found.runtimes["runsc"].path == "/x"
    assert found.runtimes["runsc"].arguments == ("--a",)
    assert found.runtimes["runc"].arguments is None
    assert (found.default_runtime, found.live_restore) == ("runsc", True)
    assert (found.root_dir, found.logging_driver) == ("/var/lib/docker", "json-file")
    assert found.cgroup_driver == "systemd"
    assert "name=apparmor" in found.security_options


@pytest.mark.parametrize(
    ("swarm", "active"),
    [
        pytest.param({"LocalNodeState": "active"}, True, id="active"),
        pytest.param({"LocalNodeState": "pending"}, True, id="pending"),
        pytest.param({"LocalNodeState": "locked"}, True, id="locked"),
        pytest.param({"LocalNodeState": "inactive"}, False, id="inactive"),
        pytest.param({"LocalNodeState": ""}, False, id="empty"),
        pytest.param({}, False, id="nothing-said"),
    ],
)
def test_a_node_is_in_swarm_mode_unless_it_says_otherwise(
    swarm: dict[str, str], active: bool
) -> None:
    docker = DockerInfo.model_validate({"ServerVersion": "26", "Swarm": swarm})

    assert docker.swarm_active is active


def test_an_old_file_that_was_put_there_later_was_changed_later() -> None:
    found = node(daemon_json="{}", mtime_s=EARLIER_S, daemon_json_ctime=f"{LATER_S}.125")

    assert found.daemon_json.changed_s == LATER_S + 0.125
    assert node(daemon_json="{}", mtime_s=EARLIER_S).daemon_json.changed_s == EARLIER_S


@pytest.mark.parametrize(
    "state",
    [pytest.param(state, id=state) for state in ("absent", "unreadable", "directory", "dangling")],
)
def test_a_daemon_json_that_is_no_text_says_what_it_is(state: str) -> None:
    lines = [*answer(without=("daemon_json",))[:-1], f"daemon_json {state}", END]

    found = parse_node(lines)

    assert (found.daemon_json.state, found.daemon_json.text) == (state, None)


def test_a_daemon_json_that_is_not_utf_8_is_known_to_be_there() -> None:
    found = node(daemon_json=b'{"a": "\xe4"}').daemon_json

    assert (found.state, found.text, found.mode) == ("not utf-8", None, "644")
    assert found.sha256


def test_a_node_prints_as_json_and_is_read_back() -> None:
    found = node(containers=[Running("app")], daemon_json="{}", releases=["20260928.0"])

    assert Node.model_validate(json.loads(json.dumps(found.to_json()))) == found


def test_no_line_of_a_nodes_state_has_a_name_that_an_audit_reads_for_something_else() -> None:
    told = inspect.getsource(observed)

    read = set(re.findall(r'_of\(output, "(\w+)"\)', told))

    assert "sandbox" in read
    assert read & set(LISTS) == {"container"}  # an audit asks Docker for more of it


DOCUMENT: dict[str, Any] = {
    "Id": "b" * 64,
    "Name": "/x",
    "State": {"Pid": 5},
    "HostConfig": {},
    "Mounts": [],
}


def with_line(line: str) -> list[str]:
    """A good answer, with one more line that counts for more than an earlier one of its key."""
    return [*answer()[:-1], line, END]


@pytest.mark.parametrize(
    "output",
    [
        pytest.param([], id="nothing"),
        pytest.param(["sudo: a password is required"], id="sudo"),
        pytest.param(answer()[:-1], id="last-line-missing"),
        pytest.param(answer()[:5], id="half"),
        pytest.param([*answer()[:-1], END + "x"], id="last-line-garbled"),
        pytest.param([*answer()[:-1], "container {" + END], id="last-line-glued-to-another"),
    ],
)
def test_an_answer_that_breaks_off_is_refused_and_says_so(output: list[str]) -> None:
    with pytest.raises(ValueError, match=f"ends after {len(output)} lines"):
        parse_node(output)


@pytest.mark.parametrize(
    "key",
    [pytest.param(key, id=key) for key in ("uname", "page_size", "cgroup", "daemon_json", "clock")],
)
def test_an_answer_without_what_every_node_has_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="malformed"):
        parse_node(answer(without=(key,)))


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("uname 6.12.9", id="uname-short"),
        pytest.param("page_size many", id="page-size-no-number"),
        pytest.param("page_size ", id="page-size-empty"),
        pytest.param("cgroup x", id="cgroup"),
        pytest.param("os debian", id="os-short"),
        pytest.param("max_user_namespaces lots", id="user-namespaces"),
        pytest.param("dockerd 812", id="dockerd-short"),
        pytest.param("dockerd 812 x !!", id="dockerd-no-number"),
        pytest.param("dockerd 812 6000 !", id="dockerd-no-base64"),
        pytest.param("clock soon", id="clock"),
        pytest.param("daemon_json", id="daemon-json-empty"),
        pytest.param("daemon_json gone", id="daemon-json-unknown-state"),
        pytest.param("daemon_json text 644 0:0", id="daemon-json-short"),
        pytest.param("daemon_json text 644 0:0 now abc e30=", id="daemon-json-mtime"),
        pytest.param("daemon_json text 644 0:0 1 abc e30", id="daemon-json-base64"),
        pytest.param("wrapper abc", id="wrapper-short"),
        pytest.param("process 12", id="process-short"),
        pytest.param("info", id="info-empty"),
        pytest.param("info {", id="info-cut-off"),
        pytest.param("info []", id="info-a-list"),
        pytest.param("info {}", id="info-without-version"),
        pytest.param('info {"ServerVersion": 3}', id="info-wrong-type"),
        pytest.param('info {"ServerVersion":"26","Runtimes":[]}', id="info-runtimes-a-list"),
        pytest.param("container", id="container-empty"),
        pytest.param("container {", id="container-cut-off"),
        pytest.param("container []", id="container-a-list"),
        pytest.param("container null", id="container-null"),
        pytest.param("container {}", id="container-without-anything"),
        pytest.param("container " + "[" * 100_000, id="container-nested-too-deep"),
    ],
)
def test_a_malformed_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_node(with_line(line))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"Id": None}, id="id-null"),
        pytest.param({"Name": None}, id="name-null"),
        pytest.param({"State": None}, id="state-null"),
        pytest.param({"State": {}}, id="no-pid"),
        pytest.param({"State": {"Pid": "x"}}, id="pid-no-number"),
        pytest.param({"HostConfig": None}, id="host-config-null"),
        pytest.param({"HostConfig": []}, id="host-config-a-list"),
        pytest.param({"Mounts": [None]}, id="mount-null"),
        pytest.param({"Mounts": ["x"]}, id="mount-text"),
        pytest.param({"Mounts": 7}, id="mounts-a-number"),
    ],
)
def test_a_container_that_is_not_as_docker_says_is_refused(changes: dict[str, Any]) -> None:
    line = f"container {json.dumps({**DOCUMENT, **changes})}"

    with pytest.raises(ValueError, match=r"."):
        parse_node(with_line(line))


@pytest.mark.parametrize(
    "cut", [pytest.param(share, id=f"{share}%") for share in range(5, 100, 10)]
)
def test_an_answer_cut_off_anywhere_is_refused(cut: int) -> None:
    text = "\n".join(answer(daemon_json='{"a": 1}', containers=[Running("x"), Running("y", pid=2)]))

    with pytest.raises(ValueError, match="is incomplete"):
        parse_node(text[: len(text) * cut // 100].split("\n"))


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("something new", id="unknown-key"),
        pytest.param("", id="empty"),
        pytest.param("Warning: the login shell says hello", id="a-greeting"),
    ],
)
def test_a_line_that_nobody_knows_is_passed_over(line: str) -> None:
    assert parse_node([line, *answer()]) == parse_node(answer())


@pytest.mark.parametrize(
    "record", [pytest.param("[" * 100_000, id="too-deep"), pytest.param("{", id="cut-off")]
)
def test_a_damaged_record_of_ours_does_not_hide_the_node(record: str) -> None:
    found = parse_node(with_line(f"state.applied {in_base64(record)}"))

    assert "applied" not in found.state


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
