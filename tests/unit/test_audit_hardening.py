"""What docker-bench-security asks of dockerd and its files, in an audit."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cases.proven import proven, proven_answer
from tests.unit.answers import UNIT_FLAGS
from tests.unit.audited import audited, found, waived

FILE = "/etc/docker/daemon.json"


def flags(*more: str) -> dict[str, Any]:
    """A node as declared but for dockerd's arguments."""
    return {"answer": proven_answer(flags=(*UNIT_FLAGS, *more))}


def bench(report: Any) -> set[str]:
    """The ids of docker-bench-security's checks that found something which is not waived."""
    return {item.cis for item in found(report).values() if item.cis}


@pytest.mark.parametrize(
    ("argument", "cis"),
    [
        pytest.param("--iptables=false", "2.4", id="iptables"),
        pytest.param("--insecure-registry=10.0.0.0/8", "2.5", id="insecure-registry"),
        pytest.param("--host=tcp://0.0.0.0:2375", "2.7", id="tcp"),
        pytest.param("--no-new-privileges=false", "2.14", id="no-new-privileges"),
        pytest.param("--userland-proxy=true", "2.16", id="userland-proxy"),
    ],
)
def test_a_flag_that_weakens_dockerd_is_found_by_its_id(argument: str, cis: str) -> None:
    assert cis in bench(audited(**flags(argument)))


@pytest.mark.parametrize(
    ("argument", "key"),
    [
        pytest.param("--icc=false", "docker-icc", id="icc"),
        pytest.param("--userns-remap=default", "docker-userns", id="userns"),
        pytest.param("--authorization-plugin=x", "docker-authorization", id="authorization"),
    ],
)
def test_what_is_waived_and_yet_done_is_not_told(argument: str, key: str) -> None:
    assert f"{key} {FILE}" in waived(audited())
    assert f"{key} {FILE}" not in waived(audited(**flags(argument)))


def test_tcp_with_certificates_is_no_finding() -> None:
    report = audited(**flags("--host=tcp://0.0.0.0:2376", "--tlsverify"))

    assert "2.7" not in bench(report)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        pytest.param({"LiveRestoreEnabled": False}, "docker-live-restore", id="live-restore"),
        pytest.param({"SecurityOptions": ["name=apparmor"]}, "docker-seccomp", id="seccomp"),
    ],
)
def test_what_the_live_daemon_shows_counts(changes: dict[str, Any], rule: str) -> None:
    docker = {**proven()["docker"], **changes}

    report = audited(answer=proven_answer(docker=docker))

    assert f"{rule} dockerd" in found(report)


@pytest.mark.parametrize(
    ("line", "cis"),
    [
        pytest.param("file 755 root:docker /etc/docker", "3.5", id="directory-owner"),
        pytest.param("file 775 root:root /etc/docker", "3.6", id="directory-mode"),
        pytest.param("file 660 root:users /run/docker.sock", "3.15", id="socket-owner"),
        pytest.param("file 666 root:docker /run/docker.sock", "3.16", id="socket-mode"),
        pytest.param(f"file 644 app:root {FILE}", "3.17", id="file-owner"),
        pytest.param(f"file 664 root:root {FILE}", "3.18", id="file-mode"),
    ],
)
def test_a_file_of_docker_that_is_open_to_others_is_found(line: str, cis: str) -> None:
    assert bench(audited(line)) == {cis}


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("file 700 root:root /etc/docker", id="directory"),
        pytest.param("file 600 root:docker /run/docker.sock", id="socket"),
        pytest.param(f"file 600 root:root {FILE}", id="file"),
        pytest.param("file 755 root:root /opt/gvisor/runtimes", id="ours"),
    ],
)
def test_a_file_that_is_more_closed_than_asked_is_no_finding(line: str) -> None:
    assert found(audited(line)) == {}


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("file 757 root:root /opt/gvisor/releases", id="others"),
        pytest.param("file 775 root:root /opt/gvisor/runtimes/runsc-x", id="group"),
        pytest.param("file 755 app:root /var/lib/pyinfra-gvisor", id="owner"),
    ],
)
def test_what_sandboxes_run_from_is_root_s_alone(line: str) -> None:
    assert f"gvisor-writable {line.rsplit(maxsplit=1)[-1]}" in found(audited(line))


def test_a_key_that_the_operator_gave_up_is_found_until_it_is_waived() -> None:
    given = {"gvisor_daemon_json": {"userland-proxy": None}}
    text = proven()["daemon_json"].replace('"userland-proxy": false,\n', "")
    state = proven()["state"]
    del state["owned"]["paths"]["/userland-proxy"]
    del state["applied"]["started_with"]["userland-proxy"]
    answer = proven_answer(daemon_json=text, state=state)

    refused = audited(settings=given, answer=answer)
    accepted = audited(
        settings={**given, "gvisor_waivers": {"2.16": "an old kernel needs it"}}, answer=answer
    )

    assert f"docker-userland-proxy {FILE}" in found(refused)
    assert waived(accepted)[f"docker-userland-proxy {FILE}"] == "an old kernel needs it"
