"""A node's answer, read."""

from __future__ import annotations

import base64
import inspect
import json
import re

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


@pytest.mark.parametrize(
    ("without", "expected"),
    [
        pytest.param(
            ("docker_client", "info", "dockerd", "clock"), (None, None, None), id="absent"
        ),
        pytest.param(("info", "dockerd", "clock"), ("29.8.2", None, None), id="down"),
    ],
)
def test_a_node_without_docker_or_with_docker_down_is_read(
    without: tuple[str, ...], expected: tuple[object, ...]
) -> None:
    found = node(without=without)

    assert (found.docker_client, found.info, found.dockerd) == expected


def test_dockers_own_error_is_kept() -> None:
    found = node(without=("info",), docker_error="connect: Connection refused")

    assert found.docker_error == "connect: Connection refused"


def test_daemon_json_is_read_to_the_byte() -> None:
    text = '{\r\n\t"a": "gr\u00fc\u00df \u2028"\n}'

    found = node(daemon_json=text).daemon_json

    assert (found.state, found.text) == ("text", text)
    assert (found.mode, found.owner, found.changed_s) == ("644", "0:0", EARLIER_S)
    assert len(found.sha256) == 64


def test_an_old_file_that_was_put_there_later_was_changed_later() -> None:
    found = node(daemon_json="{}", mtime_s=EARLIER_S, daemon_json_ctime=f"{LATER_S}.125")

    assert found.daemon_json.changed_s == LATER_S + 0.125


def test_an_empty_daemon_json_is_text_and_not_absent() -> None:
    found = node(daemon_json="").daemon_json

    assert (found.state, found.text) == ("text", "")


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


def test_releases_and_wrappers_are_read_in_order() -> None:
    found = node(
        releases=["20260928.0", "20240729.0"],
        wrappers={"/opt/gvisor/runtimes/a b": "0" * 64},
        runsc_link="/opt/gvisor/releases/20260928.0/runsc",
    )

    assert found.releases == ("20240729.0", "20260928.0")
    assert found.wrappers == {"/opt/gvisor/runtimes/a b": "0" * 64}
    assert found.runsc_link == "/opt/gvisor/releases/20260928.0/runsc"


def test_a_runsc_that_is_a_file_is_known_as_one() -> None:
    assert node(runsc_file="yes").runsc_file is True


def test_our_own_records_are_read_and_a_damaged_one_is_known_as_such() -> None:
    found = node(state={"applied": {"a": 1}}, **{"state.owned": in_base64('{"paths": ')})

    assert found.state["applied"] == {"a": 1}
    assert "owned" not in found.state
    assert [item.name for item in found.unusable] == ["owned"]


def test_a_node_prints_as_json_and_is_read_back() -> None:
    found = node(containers=[Running("app")], daemon_json="{}", releases=["20260928.0"])

    assert Node.model_validate(json.loads(json.dumps(found.to_json()))) == found


def test_no_line_of_a_nodes_state_has_a_name_that_an_audit_reads_for_something_else() -> None:
    told = inspect.getsource(observed)

    read = set(re.findall(r'_of\(output, "(\w+)"\)', told))

    assert "sandbox" in read
    assert read & set(LISTS) == {"container"}  # an audit asks Docker for more of it
