"""What of a node's Docker cannot be worked with is refused before the first change."""

from __future__ import annotations

import re
from contextlib import nullcontext
from typing import Any, Literal

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from pyinfra_gvisor.daemon_json.refusals import refuse_firewall_change
from pyinfra_gvisor.planning.preflight import preflight
from pyinfra_gvisor.settings import load_settings
from tests.unit.answers import LATER_S, applied, info, node


def problems_of(data: dict[str, Any] | None = None, **given: Any) -> list[str]:
    """What is said about a node with these settings, which must be good."""
    settings, problems = load_settings(data or {})
    assert settings, problems
    return [str(problem) for problem in preflight(node(**given), settings)]


def docker_29(version: str = "29.7.1", **others: Any) -> dict[str, Any]:
    """What a Docker of that version tells of itself."""
    return info(ServerVersion=version, **others)


IPTABLES: dict[str, Any] = {"docker": docker_29(FirewallBackend={"Driver": "iptables"})}
NFTABLES: dict[str, Any] = {
    "docker": docker_29(FirewallBackend={"Driver": "nftables", "Info": [["ReloadedAt", ""]]})
}
FIREWALLD: dict[str, Any] = {"docker": docker_29(FirewallBackend={"Driver": "nftables+firewalld"})}
FLAG = ["--firewall-backend=nftables"]


LATER = docker_29("29.99.0", FirewallBackend={"Driver": "nftables"})
ELSEWHERE = ["--config-file=/etc/docker/other.json"]


@pytest.mark.parametrize(
    ("given", "value"),
    [
        pytest.param(IPTABLES, {}, id="iptables-by-default"),
        pytest.param(IPTABLES, {"firewall-backend": "iptables"}, id="iptables"),
        pytest.param(IPTABLES, {"firewall-backend": ""}, id="empty"),
        pytest.param(IPTABLES, {"firewall-backend": None}, id="null"),
        pytest.param({"docker": info(ServerVersion="26.1.5")}, {}, id="older-docker"),
        pytest.param({"docker": docker_29(FirewallBackend=None)}, {}, id="not-told"),
        pytest.param(NFTABLES, {"firewall-backend": "nftables"}, id="nftables"),
        pytest.param(FIREWALLD, {"firewall-backend": "nftables"}, id="beside-firewalld"),
        pytest.param({**NFTABLES, "flags": FLAG}, {}, id="by-a-flag"),
        pytest.param({"docker": LATER}, {}, id="default-of-a-later-docker"),
        pytest.param({**NFTABLES, "flags": ELSEWHERE}, {}, id="another-file"),
        pytest.param(
            {"without": ("info", "dockerd", "clock")}, {"firewall-backend": "nftables"}, id="down"
        ),
    ],
)
def test_the_firewall_that_docker_has_is_supported(
    given: dict[str, Any], value: dict[str, Json]
) -> None:
    refuse_firewall_change(node(**given), value)


@pytest.mark.parametrize(
    ("given", "value", "said"),
    [
        pytest.param(
            IPTABLES,
            {"firewall-backend": "nftables"},
            "iptables, got nftables by /firewall-backend in /etc/docker/daemon.json; keep iptables;"
            " or change the backend without this package, and reboot the node",
            id="to-nftables",
        ),
        pytest.param(
            {"docker": docker_29(FirewallBackend=None)},
            {"firewall-backend": "nftables"},
            "iptables, got nftables by /firewall-backend",
            id="from-what-is-not-told",
        ),
        pytest.param(
            NFTABLES,
            {},
            "nftables, got iptables by default, because nothing sets it; keep nftables;",
            id="back-by-default",
        ),
        pytest.param(
            FIREWALLD, {"firewall-backend": "iptables"}, "nftables, got iptables by", id="back"
        ),
        pytest.param(
            {**IPTABLES, "flags": FLAG},
            {},
            "iptables, got nftables by a flag of dockerd's;",
            id="flag",
        ),
        pytest.param(
            IPTABLES, {"firewall-backend": "pf"}, "iptables, got pf by", id="what-docker-refuses"
        ),
    ],
)
def test_another_firewall_at_the_next_start_is_refused(
    given: dict[str, Any], value: dict[str, Json], said: str
) -> None:
    message = f"the next start of dockerd would change its firewall backend from {said}"

    with pytest.raises(Problem, match=re.escape(message)):
        refuse_firewall_change(node(**given), value)


OTHERS = '{"firewall-backend": "nftables"}'
OURS = {"firewall-backend": "nftables"}


@pytest.mark.parametrize(
    ("wanted", "restart", "is_refused"),
    [
        pytest.param({"no-new-privileges": True}, "auto", True, id="a-restart-of-ours"),
        pytest.param({"no-new-privileges": True}, "reload", False, id="a-restart-left-owed"),
        pytest.param({"debug": True}, "auto", False, id="a-reload"),
        pytest.param({}, "auto", False, id="nothing"),
        pytest.param(OURS, "reload", True, id="ours-too"),
    ],
)
def test_what_others_have_written_is_no_reason_to_refuse_what_restarts_nothing(
    wanted: dict[str, Json], restart: Literal["auto", "reload"], *, is_refused: bool
) -> None:
    found = node(daemon_json=OTHERS, **IPTABLES)

    with pytest.raises(Problem, match="change its firewall") if is_refused else nullcontext():
        plan_daemon_json(found, wanted, restart=restart)


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
