"""What an audit says of capabilities: more than Docker's own, more than needed, and one too few."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.audit.capability_rules import DEFAULT_CAPABILITIES
from pyinfra_gvisor.policy.findings import Severity
from tests.unit.audited import app, found, ids, with_container

KEPT, LOW_PORT = "container-capabilities-kept shop", "container-low-port shop"
BARE: dict[str, Any] = {"runtime": "runc", "executable": "/usr/bin/node", "argv0": "node"}
OLD = "/usr/local/bin/runsc"
EXEMPT = [{"name": "shop", "reason": "it is our own build server"}]


@pytest.mark.parametrize(
    ("given", "evidence"),
    [
        pytest.param({"CapDrop": None}, "dropped: nothing; kept by default: 14", id="null"),
        pytest.param({"CapDrop": []}, "dropped: nothing; kept by default: 14", id="nothing"),
        pytest.param(
            {"CapDrop": ["NET_RAW", "CAP_MKNOD"]},
            "dropped: MKNOD, NET_RAW; kept by default: 12",
            id="some",
        ),
        pytest.param(
            {"CapDrop": ["SYS_ADMIN"], "CapAdd": ["CHOWN"]},
            "dropped: SYS_ADMIN; kept by default: 13",
            id="one-it-had-not",
        ),
    ],
)
def test_capabilities_that_nobody_asked_for_are_told(given: dict[str, Any], evidence: str) -> None:
    report = with_container(app(given=given))

    finding = found(report)[KEPT]
    assert (finding.severity, finding.evidence, finding.cis) == (Severity.LOW, evidence, None)
    assert report.compliant


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"CapDrop": ["ALL"]}, id="all"),
        pytest.param({"CapDrop": ["all"], "CapAdd": ["CHOWN", "CAP_SETUID"]}, id="some-back"),
        pytest.param({"CapDrop": sorted(DEFAULT_CAPABILITIES)}, id="each-by-its-name"),
        pytest.param({"CapDrop": [], "CapAdd": sorted(DEFAULT_CAPABILITIES)}, id="all-asked-for"),
    ],
)
def test_who_drops_all_and_asks_for_some_keeps_none(given: dict[str, Any]) -> None:
    report = with_container(app(given=given))

    assert found(report) == {}


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"CapDrop": None, "Privileged": True}, id="privileged"),
        pytest.param({"CapDrop": None, "CapAdd": ["ALL"]}, id="all-added"),
    ],
)
def test_whose_capabilities_are_told_already_is_not_told_twice(given: dict[str, Any]) -> None:
    report = with_container(app(given=given))

    assert KEPT not in found(report)
    assert len(found(report)) == 1


def test_what_the_policy_leaves_alone_may_keep_what_docker_gives() -> None:
    foreign = with_container(app(labels={}, given={"CapDrop": None}))
    exempted = with_container(app(given={"CapDrop": None}), exempt=EXEMPT)

    assert found(foreign) == found(exempted) == {}


def test_all_capabilities_are_beyond_dockers_own() -> None:
    report = with_container(app(given={"CapAdd": ["all"]}))

    assert found(report)["container-capabilities shop"].evidence == "added: ALL"


@pytest.mark.parametrize(
    ("added", "severity"),
    [
        pytest.param("CAP_SYS_ADMIN", Severity.HIGH, id="root-on-the-node"),
        pytest.param("sys_nice", Severity.MEDIUM, id="less"),
        pytest.param("ALL", Severity.HIGH, id="all"),
    ],
)
def test_a_capability_weighs_more_where_the_nodes_kernel_decides(
    added: str, severity: Severity
) -> None:
    inside = with_container(app(given={"CapAdd": [added]}))
    outside = with_container(app(given={"CapAdd": [added]}, **BARE))

    key = "container-capabilities shop"
    assert found(inside)[key].severity is Severity.MEDIUM
    assert found(outside)[key].severity is severity


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"CapDrop": ["ALL"]}, id="all-dropped"),
        pytest.param({"CapDrop": ["ALL"], "CapAdd": ["CHOWN"]}, id="another-added"),
        pytest.param({"CapDrop": ["CAP_NET_BIND_SERVICE"]}, id="itself-dropped"),
        pytest.param({"CapDrop": ["NET_BIND_SERVICE"], "CapAdd": ["ALL"]}, id="all-others-added"),
    ],
)
def test_a_low_port_without_its_capability_is_told_in_a_sandbox(given: dict[str, Any]) -> None:
    ports = ["443/tcp", "53/udp", "8080/tcp"]

    report = with_container(app(given={**given, "Ports": ports}, executable=OLD))

    finding = found(report)[LOW_PORT]
    assert (finding.severity, finding.evidence) == (Severity.MEDIUM, "443/tcp, 53/udp")
    assert "--cap-add=NET_BIND_SERVICE" in finding.remedy


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"CapDrop": ["ALL"], "CapAdd": ["CAP_NET_BIND_SERVICE"]}, id="added-back"),
        pytest.param({"CapDrop": ["ALL"], "CapAdd": ["ALL"]}, id="all-added-back"),
        pytest.param({"CapDrop": ["CHOWN"]}, id="another-dropped"),
        pytest.param({"CapDrop": ["ALL"], "Privileged": True}, id="privileged"),
        pytest.param({"CapDrop": ["ALL"], "Ports": ["1024/tcp"]}, id="a-higher-port"),
        pytest.param({"CapDrop": ["ALL"], "Ports": []}, id="no-port"),
    ],
)
def test_a_port_that_can_be_bound_is_not_told(given: dict[str, Any]) -> None:
    report = with_container(app(given={"Ports": ["80/tcp"], **given}, executable=OLD))

    assert LOW_PORT not in found(report)


@pytest.mark.parametrize(
    ("release", "told"),
    [
        pytest.param("20260831.0", True, id="not-known"),
        pytest.param("20260905.0", False, id="tried"),
        pytest.param("20261005.0", False, id="later"),
    ],
)
def test_a_runsc_that_lets_everybody_bind_every_port_is_no_reason(release: str, told: bool) -> None:
    sentry = f"/opt/gvisor/releases/{release}/gvisor-bin/gvisor_sentry"
    given = {"CapDrop": ["ALL"], "Ports": ["80/tcp"]}

    report = with_container(app(given=given, executable=sentry))

    assert (LOW_PORT in found(report)) is told


@pytest.mark.parametrize(
    ("changes", "settings"),
    [
        pytest.param(BARE, {}, id="runc-lets-everybody-bind"),
        pytest.param({"runtime": "theirs"}, {}, id="a-runtime-that-is-not-ours"),
        pytest.param(
            {},
            {"runtimes": {"runsc": {"network": "sandbox"}}, "waivers": {}},
            id="gvisor's-own-network-asks-for-nothing",
        ),
    ],
)
def test_a_low_port_is_told_only_where_the_hosts_kernel_decides(
    changes: dict[str, Any], settings: dict[str, Any]
) -> None:
    report = with_container(
        app(given={"Ports": ["80/tcp"]}, **{"executable": OLD, **changes}), **settings
    )

    assert "container-low-port" not in ids(report)


def test_a_low_port_of_what_the_policy_leaves_alone_is_only_noted() -> None:
    report = with_container(app(labels={}, given={"Ports": ["80/tcp"]}, executable=OLD))

    assert found(report)[LOW_PORT].severity is Severity.INFO
