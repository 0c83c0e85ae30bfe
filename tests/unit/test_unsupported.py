"""What of a node's Docker cannot be worked with is refused before the first change."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from pyinfra_gvisor.daemon_json.merge import flatten
from pyinfra_gvisor.daemon_json.refusals import refuse
from pyinfra_gvisor.daemon_json.text import Json
from pyinfra_gvisor.errors import Problem
from pyinfra_gvisor.preflight import preflight
from pyinfra_gvisor.settings import HARDENED, HARDENED_IF_ABSENT, load_settings
from tests.unit.answers import LATER_S, applied, info, node


def problems_of(data: dict[str, Any] | None = None, **given: Any) -> list[str]:
    """What is said about a node with these settings, which must be good."""
    settings, problems = load_settings(data or {})
    assert settings, problems
    return [str(problem) for problem in preflight(node(**given), settings)]


def docker_29(version: str = "29.7.1", **others: Any) -> dict[str, Any]:
    """What a Docker of that version tells of itself."""
    return info(ServerVersion=version, **others)


NFTABLES = docker_29(FirewallBackend={"Driver": "nftables", "Info": [["ReloadedAt", ""]]})
OWED = {"daemon_json": '{"firewall-backend": "nftables"}', "docker": docker_29()}
ALL_LEFT_ALONE: dict[str, Any] = {
    "gvisor_runtimes": {},
    "gvisor_daemon_json": dict.fromkeys((*HARDENED, *HARDENED_IF_ABSENT)),
}


@pytest.mark.parametrize(
    ("given", "got"),
    [
        pytest.param({"docker": NFTABLES}, "nftables in docker info", id="running"),
        pytest.param(
            {"docker": docker_29(FirewallBackend={"Driver": "nftables+firewalld"})},
            "nftables in docker info",
            id="with-firewalld",
        ),
        pytest.param(
            {"docker": docker_29(), "flags": ["--firewall-backend=nftables"]},
            "nftables in dockerd's flags",
            id="flag",
        ),
        pytest.param(
            {"docker": docker_29(), "flags": ["--firewall-backend", "nftables"]},
            "nftables in dockerd's flags",
            id="flag-of-two-words",
        ),
        pytest.param(OWED, "nftables in /etc/docker/daemon.json", id="file"),
        pytest.param(
            {**OWED, "without": ("info", "dockerd", "clock"), "pending": "yes"},
            "nftables in /etc/docker/daemon.json",
            id="file-of-a-dockerd-that-is-down",
        ),
    ],
)
def test_dockers_firewall_in_nftables_is_refused_wherever_it_is_found(
    given: dict[str, Any], got: str
) -> None:
    (message,) = problems_of(**given)

    assert message == (
        f"this package supports no other firewall-backend of Docker than iptables, got {got}; "
        "set firewall-backend to iptables and restart dockerd, or leave this node out"
    )


@pytest.mark.parametrize(
    ("data", "given"),
    [
        pytest.param({}, {"docker": docker_29()}, id="not-said"),
        pytest.param(
            {}, {"docker": docker_29(FirewallBackend={"Driver": "iptables"})}, id="iptables"
        ),
        pytest.param(
            {},
            {"docker": docker_29(FirewallBackend={"Driver": "iptables+firewalld"})},
            id="iptables-with-firewalld",
        ),
        pytest.param({}, {"docker": docker_29(FirewallBackend=None)}, id="null"),
        pytest.param({}, {"daemon_json": '{"firewall-backend": "iptables"}'}, id="named"),
        pytest.param({}, {"daemon_json": '{"firewall-backend":'}, id="file-is-refused-elsewhere"),
        pytest.param(
            {"gvisor_daemon_json": {"firewall-backend": "iptables"}}, OWED, id="we-put-it-right"
        ),
        pytest.param(ALL_LEFT_ALONE, {"docker": NFTABLES}, id="nothing-is-changed"),
    ],
)
def test_dockers_firewall_is_no_reason_to_refuse(
    data: dict[str, Any], given: dict[str, Any]
) -> None:
    assert problems_of(data, **given) == []


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({"gvisor_daemon_json": {"firewall-backend": None}}, id="left-alone"),
        pytest.param(
            {"gvisor_daemon_json_if_absent": {"firewall-backend": "iptables"}}, id="not-absent"
        ),
    ],
)
def test_nftables_in_a_file_is_refused_unless_the_settings_replace_it(data: dict[str, Any]) -> None:
    (message,) = problems_of(data, **OWED)

    assert "got nftables in /etc/docker/daemon.json; " in message


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({"gvisor_egress": {}}, id="egress"),
        pytest.param({"gvisor_runtimes": {"runsc": {}}}, id="runtimes"),
        pytest.param({"gvisor_daemon_json": {"debug": True}}, id="daemon-json"),
    ],
)
def test_dockers_firewall_matters_as_soon_as_anything_is_changed(data: dict[str, Any]) -> None:
    found = problems_of({**ALL_LEFT_ALONE, **data}, docker=NFTABLES)

    assert [message.split(",")[0] for message in found] == [
        "this package supports no other firewall-backend of Docker than iptables"
    ]


@pytest.mark.parametrize("ours", [pytest.param(True, id="ours"), pytest.param(False, id="theirs")])
@pytest.mark.parametrize(
    ("backend", "refused"),
    [
        pytest.param("iptables", False, id="iptables"),
        pytest.param("", False, id="default"),
        pytest.param(None, False, id="null"),
        pytest.param("nftables", True, id="nftables"),
        pytest.param("pf", True, id="unknown"),
    ],
)
def test_another_firewall_backend_is_refused_if_it_is_ours(
    backend: Json, *, refused: bool, ours: bool
) -> None:
    value: dict[str, Json] = {"firewall-backend": backend}
    message = f"^/firewall-backend must be iptables, .*, got {backend}; leave the key out$"

    with pytest.raises(Problem, match=message) if refused and ours else nullcontext():
        refuse(node(docker=docker_29()), value, flatten(value) if ours else {})


@pytest.mark.parametrize(
    ("docker", "given", "got"),
    [
        pytest.param(
            docker_29(RuncCommit={"ID": "1.1.15+ds1-2+b4"}), {}, "1.1.15", id="debians-runc"
        ),
        pytest.param(
            docker_29(RuncCommit={"ID": "v1.1.12-0-g51d5e946"}), {}, "1.1.12", id="dockers-runc"
        ),
        pytest.param(
            docker_29(RuncCommit={"ID": ""}),
            {"runc_version": "1.1.12-0ubuntu3.1"},
            "1.1.12",
            id="runc-says-it-itself",
        ),
        pytest.param(
            docker_29(default_runtime="runsc"),
            {"runc_version": "1.0.0~rc93+ds1"},
            "1.0.0",
            id="beside-another-default",
        ),
        pytest.param(
            docker_29(RuncCommit={"ID": "v1.1.15-0-gbc20cb44"}),
            {"daemon_json": '{"features": {"time-namespaces": true}}'},
            "1.1.15",
            id="feature-on",
        ),
        pytest.param(
            docker_29(RuncCommit={"ID": "v1.1.15-0-gbc20cb44"}),
            {"daemon_json": '{"features": {"time-namespaces": false}}', "mtime_s": LATER_S}
            | {"state": {"applied": applied({})}},
            "1.1.15",
            id="feature-not-off-yet",
        ),
    ],
)
def test_a_runc_without_time_namespaces_is_refused_under_docker_29(
    docker: dict[str, Any], given: dict[str, Any], got: str
) -> None:
    assert problems_of(docker=docker, **given) == [
        f"Docker 29.7.1 needs runc 1.2 or later, got {got}; upgrade runc"
    ]


OLD_RUNC = docker_29(RuncCommit={"ID": "v1.1.15-0-gbc20cb44"})


@pytest.mark.parametrize(
    ("docker", "given"),
    [
        pytest.param(docker_29(RuncCommit={"ID": "v1.2.0-0-g0b9fa21b"}), {}, id="first-good-one"),
        pytest.param(docker_29(RuncCommit={"ID": "v1.10.0-0-g0b9fa21b"}), {}, id="two-digits"),
        pytest.param(docker_29(), {"runc_version": "1.3.3"}, id="built-without-a-commit"),
        pytest.param(docker_29(), {}, id="unknown"),
        pytest.param(docker_29(RuncCommit={"ID": "N/A"}), {}, id="not-available"),
        pytest.param(docker_29(RuncCommit={"ID": "0123abcd"}), {}, id="a-hash-alone"),
        pytest.param(docker_29(RuncCommit=None), {}, id="null"),
        pytest.param(
            docker_29(default_runtime="crun", RuncCommit={"ID": "1.1.4"}), {}, id="another-program"
        ),
        pytest.param(
            docker_29("29.4.3", RuncCommit={"ID": "v1.1.15-0-gbc20cb44"}), {}, id="docker-29.4"
        ),
        pytest.param(
            docker_29("28.5.2", RuncCommit={"ID": "v1.1.15-0-gbc20cb44"}), {}, id="docker-28"
        ),
        pytest.param(
            OLD_RUNC,
            {"daemon_json": '{"features": {"time-namespaces": false}}'},
            id="feature-off",
        ),
        pytest.param(
            OLD_RUNC, {"flags": ["--feature=time-namespaces=false"]}, id="feature-off-by-flag"
        ),
    ],
)
def test_a_runc_that_is_new_enough_or_unknown_is_no_reason_to_refuse(
    docker: dict[str, Any], given: dict[str, Any]
) -> None:
    assert problems_of(docker=docker, **given) == []


def test_an_old_runc_is_fit_where_the_settings_switch_time_namespaces_off() -> None:
    data = {"gvisor_daemon_json": {"features": {"time-namespaces": False}}}

    assert problems_of(data, docker=OLD_RUNC) == []
