"""Docker's networks and published ports, as ``node_state.sh`` tells them to the firewall."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.parts.egress.state import DockerNetwork, EgressState
from tests.unit.answers import compact
from tests.unit.fake_docker import (
    Answer,
    breaks_off,
    container,
    daemon,
    network,
    port,
    routes,
    says,
)
from tests.unit.node_script import Machine

BRIDGE = "com.docker.network.bridge.name"
NASTY = '"},{"Name":"x","Driver":"bridge","Id":"y"} end of node state \u2028'


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A node with perl."""
    return Machine(tmp_path)


def seen(machine: Machine, answers: dict[str, Answer]) -> EgressState:
    """What is told with a daemon that gives these answers."""
    with daemon(machine.socket, answers):
        return machine.node().part(EgressState)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param(network("bridge", Options={BRIDGE: "docker0"}), ("bridge", "docker0"),
                     id="dockers-own"),
        pytest.param(network("shop"), ("bridge", f"br-{network('shop')['Id'][:12]}"), id="unnamed"),
        pytest.param(network("shop", Options=None), ("bridge", f"br-{network('shop')['Id'][:12]}"),
                     id="no-options"),
        pytest.param(network("shop", Options={"x": NASTY, BRIDGE: "shop0"}), ("bridge", "shop0"),
                     id="named-beside-odd-options"),
        pytest.param(network("host", Driver="host"), ("host", ""), id="host"),
        pytest.param(network("none", Driver="null"), ("null", ""), id="none"),
        pytest.param(network("lan", Driver="macvlan", Options={"parent": "eth0"}), ("macvlan", ""),
                     id="macvlan"),
        pytest.param(network("shop", Labels={"a": NASTY}, Containers={"b": {"Name": NASTY}}),
                     ("bridge", f"br-{network('shop')['Id'][:12]}"), id="odd-labels"),
        pytest.param(network("shop", Options={BRIDGE: 'a"b'}), ("bridge", 'a"b'), id="quote"),
        pytest.param(network("shop", Options={BRIDGE: "a\\b"}), ("bridge", "a\\b"), id="backslash"),
        pytest.param(network("shop", Options={BRIDGE: "a\\u003cb"}), ("bridge", "a\\u003cb"),
                     id="backslash-of-its-own"),
        pytest.param(network("shop", Options={BRIDGE: "<e*>&"}), ("bridge", "<e*>&"), id="signs"),
        pytest.param(network("shop", Options={BRIDGE: "caf\u00e9"}), ("bridge", "caf??"),
                     id="no-ascii"),
        pytest.param(network("shop", Options={BRIDGE: "a b"}), ("bridge", "a?b"), id="space"),
    ],
)  # fmt: skip
def test_a_network_is_told_with_its_driver_and_bridge(
    machine: Machine, told: dict[str, Any], expected: tuple[str, str]
) -> None:
    state = seen(machine, routes([], networks=[network("first"), told, network("last")]))

    driver, bridge = expected
    assert state.networks[1] == DockerNetwork(name=told["Name"], driver=driver, bridge=bridge)
    assert [item.name for item in state.networks] == ["first", told["Name"], "last"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(says("[]\n"), False, id="empty"),
        pytest.param(says("{}", "404 Not Found"), False, id="not-found"),
        pytest.param(says("null\n"), True, id="null"),
        pytest.param(says("{}", "500 Internal Server Error"), True, id="fails"),
        pytest.param(breaks_off(compact([network("a"), network("b")]), 0.7), True, id="cut"),
    ],
)
def test_networks_are_none_or_not_known(machine: Machine, answer: Answer, error: bool) -> None:
    with daemon(machine.socket, {**routes([]), "/networks": answer}):
        found = machine.node()

    assert found.part(EgressState).networks == ()
    assert (found.docker_error is not None) is error


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        pytest.param([], (), id="none"),
        pytest.param([port(8080), port(8080, address="192.0.2.7")], ("8080/tcp",), id="twice"),
        pytest.param([port(53, "udp"), port(36412, "sctp")], ("36412/sctp", "53/udp"), id="others"),
        pytest.param([port(80, address="127.0.0.1"), port(81, address="::1"),
                      port(82, address="127.0.0.2")], (), id="for-the-node-itself"),
        pytest.param([port(80, address="203.0.113.7")], ("80/tcp",), id="one-address"),
        pytest.param([{"PrivatePort": 80, "Type": "tcp"}], (), id="exposed-only"),
    ],
)  # fmt: skip
def test_ports_that_others_than_the_node_reach_are_told(
    machine: Machine, ports: list[dict[str, Any]], expected: tuple[str, ...]
) -> None:
    documents = [container(1, 1, others={"Ports": ports}), container(2, 1)]

    assert seen(machine, routes(documents)).published == expected


def test_a_label_that_looks_like_a_published_port_is_none(machine: Machine) -> None:
    lie = '{"IP":"::","PrivatePort":1,"PublicPort":666,"Type":"tcp"}'

    state = seen(machine, routes([container(1, 1, labels={"a": lie, lie: "b"})]))

    assert state.published == ()
