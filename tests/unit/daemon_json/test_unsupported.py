"""What of a node's Docker cannot be worked with is refused before the first change."""

import json
import re
from contextlib import nullcontext
from typing import Any, Literal

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.base.json_text import Json
from pyinfra_gvisor.daemon_json.plan import plan_daemon_json
from pyinfra_gvisor.daemon_json.refusals import refuse_firewall_change
from pyinfra_gvisor.planning.preflight import preflight
from tests.arguments import Data
from tests.table import table
from tests.unit.answers import LATER_S, applied, info, node
from tests.unit.settings.loaded_settings import good


def problems_of(data: dict[str, Any] | None = None, **given: Any) -> list[str]:
    """What is said about a node with these settings, which must be good."""
    return [str(problem) for problem in preflight(node(**given), good(**(data or {})))]


def docker_29(version: str = "29.7.1", **others: Any) -> dict[str, Any]:
    """What a Docker of that version tells of itself."""
    return info(ServerVersion=version, **others)


IPTABLES: dict[str, Any] = {"docker": docker_29(FirewallBackend={"Driver": "iptables"})}
NFTABLES: dict[str, Any] = {
    "docker": docker_29(FirewallBackend={"Driver": "nftables", "Info": [["ReloadedAt", ""]]})
}
FIREWALLD: dict[str, Any] = {"docker": docker_29(FirewallBackend={"Driver": "nftables+firewalld"})}
OURS: dict[str, Json] = {"firewall-backend": "nftables"}
FLAG = ["--firewall-backend=nftables"]


LATER = docker_29("29.99.0", FirewallBackend={"Driver": "nftables"})


@table(
    "given, value",
    iptables_by_default=(IPTABLES, {}),
    iptables=(IPTABLES, {"firewall-backend": "iptables"}),
    empty=(IPTABLES, {"firewall-backend": ""}),
    not_told=({"docker": docker_29(FirewallBackend=None)}, {}),
    beside_firewalld=(FIREWALLD, OURS),
    by_a_flag=({**NFTABLES, "flags": FLAG}, {}),
    default_of_a_later_docker=({"docker": LATER}, {}),
    another_file=({**NFTABLES, "flags": ["--config-file=/etc/docker/other.json"]}, {}),
    down=({"without": ("info", "dockerd", "clock")}, OURS),
)
def test_the_firewall_that_docker_has_is_supported(given: Data, value: Data) -> None:
    refuse_firewall_change(node(**given), value)


@table(
    "given, value, said",
    to_nftables=(
        {"docker": docker_29(FirewallBackend=None)},
        OURS,
        (
            "iptables, got nftables by /firewall-backend in /etc/docker/daemon.json; keep "
            "iptables; or change the backend without this package, and reboot the node"
        ),
    ),
    back_by_default=(NFTABLES, {}, "nftables, got iptables by default, because nothing se"),
    back=(FIREWALLD, {"firewall-backend": "iptables"}, "nftables, got iptables by"),
    flag=({**IPTABLES, "flags": FLAG}, {}, "iptables, got nftables by a flag of dockerd's;"),
)
def test_another_firewall_at_the_next_start_is_refused(given: Data, value: Data, said: str) -> None:
    message = f"the next start of dockerd would change its firewall backend from {said}"

    with pytest.raises(Problem, match=re.escape(message)):
        refuse_firewall_change(node(**given), value)


@table(
    "wanted, restart, is_refused",
    a_restart_of_ours=({"no-new-privileges": True}, "auto", True),
    a_restart_left_owed=({"no-new-privileges": True}, "reload", False),
    a_reload=({"debug": True}, "auto", False),
    ours_too=(OURS, "reload", True),
)
def test_what_others_have_written_is_no_reason_to_refuse_what_restarts_nothing(
    wanted: dict[str, Json], restart: Literal["auto", "reload"], *, is_refused: bool
) -> None:
    found = node(daemon_json=json.dumps(OURS), **IPTABLES)

    with pytest.raises(Problem, match="change its firewall") if is_refused else nullcontext():
        plan_daemon_json(found, wanted, restart=restart)


def runc(commit: object, version: str = "29.7.1") -> dict[str, Any]:
    """A Docker that tells this commit of its runc."""
    return {"docker": docker_29(version, RuncCommit={"ID": commit})}


OLD_RUNC = runc("v1.1.15-0-gbc20cb44")
NOT_OFF_YET = {
    "daemon_json": '{"features": {"time-namespaces": false}}',
    "mtime_s": LATER_S,
    "state": {"applied": applied({})},
}


@table(
    "given, got",
    debians_runc=(runc("1.1.15+ds1-2+b4"), "1.1.15"),
    dockers_runc=(runc("v1.1.12-0-g51d5e946"), "1.1.12"),
    runc_says_it_itself=({**runc(""), "runc_version": "1.1.12-0ubuntu3.1"}, "1.1.12"),
    beside_another_default=(
        {"docker": docker_29(default_runtime="runsc"), "runc_version": "1.0.0~rc93+ds1"},
        "1.0.0",
    ),
    feature_on=({**OLD_RUNC, "daemon_json": '{"features": {"time-namespaces": true}}'}, "1.1.15"),
    feature_not_off_yet=({**OLD_RUNC, **NOT_OFF_YET}, "1.1.15"),
)
def test_a_runc_without_time_namespaces_is_refused_under_docker_29(given: Data, got: str) -> None:
    assert problems_of(**given) == [
        f"Docker 29.7.1 needs runc 1.2 or later, got {got}; upgrade runc"
    ]


@table(
    "given",
    {
        "first-good-one": runc("v1.2.0-0-g0b9fa21b"),
        "two-digits": runc("v1.10.0-0-g0b9fa21b"),
        "built-without-a-commit": {"docker": docker_29(), "runc_version": "1.3.3"},
        "unknown": {"docker": docker_29()},
        "not-available": runc("N/A"),
        "a-hash-alone": runc("0123abcd"),
        "null": {"docker": docker_29(RuncCommit=None)},
        "another-program": {
            "docker": docker_29(default_runtime="crun", RuncCommit={"ID": "1.1.4"})
        },
        "docker-29.4": runc("v1.1.15-0-gbc20cb44", "29.4.3"),
        "docker-28": runc("v1.1.15-0-gbc20cb44", "28.5.2"),
        "feature-off": {**OLD_RUNC, "daemon_json": '{"features": {"time-namespaces": false}}'},
        "feature-off-by-flag": {**OLD_RUNC, "flags": ["--feature=time-namespaces=false"]},
    },
)
def test_a_runc_that_is_new_enough_or_unknown_is_no_reason_to_refuse(given: dict[str, Any]) -> None:
    assert problems_of(**given) == []


def test_an_old_runc_is_fit_where_the_settings_switch_time_namespaces_off() -> None:
    data = {"gvisor_daemon_json": {"features": {"time-namespaces": False}}}

    assert problems_of(data, **OLD_RUNC) == []
