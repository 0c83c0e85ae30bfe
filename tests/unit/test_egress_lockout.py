"""What is refused because it would cut what must not be cut."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.base.errors import Problem
from pyinfra_gvisor.parts.egress.host_network import FROM_BRIDGE, surroundings
from pyinfra_gvisor.parts.egress.lockout import covered, is_blocked, lockouts
from pyinfra_gvisor.parts.egress.state import Ssh
from tests.unit.egress_states import egress, found


def refused(
    settings: dict[str, Any] | None = None,
    *,
    dns: tuple[str, ...] = (),
    proxied: bool = False,
    **changes: Any,
) -> list[Problem]:
    """Why these rules must not be loaded on a node that is like that."""
    node, wanted = found(**{"rules": FILTERED, **changes}), egress(**(settings or {}))
    around = surroundings(node, wanted, dns)
    return lockouts(node, wanted, around, dns=dns, proxied=proxied)


FILTERED = f"{FROM_BRIDGE} goto to_node"
"""Rules that are for every bridge."""


def ssh(interface: str, client: str = "172.18.0.2", port: int = 22) -> Ssh:
    """The controller's way in."""
    return Ssh(client=client, port=port, interface=interface)


def test_a_plain_node_is_cut_nothing() -> None:
    assert refused(ssh=ssh("eth0", "198.51.100.9")) == []


@pytest.mark.parametrize(
    ("uplinks", "interfaces", "got"),
    [
        pytest.param(("eth0",), ["eth*"], ["eth0"], id="a-pattern-too-wide"),
        pytest.param(("br-lan",), ["br*"], ["br-lan"], id="a-bridge"),
        pytest.param(("br-lan",), ["br-lan"], ["br-lan"], id="a-bridge-that-is-named"),
        pytest.param(("eth0", "eth1", "wg0"), ["eth*"], ["eth0", "eth1"], id="two-of-three"),
        pytest.param(("br-0123456789ab",), [], [], id="dockers-to-the-letter"),
        pytest.param(("br-lan",), [], [], id="a-bridge-that-nobody-names"),
        pytest.param((), ["eth*"], [], id="no-way-out"),
    ],
)
def test_the_nodes_way_out_is_no_interface_of_containers(
    uplinks: tuple[str, ...], interfaces: list[str], got: list[str]
) -> None:
    bridges = ("docker0", "br-lan", "br-0123456789ab")

    problems = refused({"interfaces": interfaces}, uplinks=uplinks, bridges=bridges)

    assert [problem.got for problem in problems] == got
    assert all("gvisor_egress['interfaces']" in problem.todo for problem in problems)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"uplinks": ('q"q',)}, id="default-route"),
        pytest.param({"ports": {'q"q': "eth1"}}, id="port"),
    ],
)
def test_a_bridge_to_be_left_alone_whose_name_nft_cannot_express_is_refused(
    changes: dict[str, Any],
) -> None:
    (problem,) = refused(bridges=('q"q',), **changes)

    assert problem.got == 'q"q'
    assert "nft cannot express" in problem.what
    assert "rename the bridge" in problem.todo
    assert refused({"exclude": ["q*"]}, bridges=('q"q',), **changes) == []


def test_an_interface_that_is_excluded_cuts_nobody() -> None:
    excluded = {"interfaces": ["eth*"], "exclude": ["eth0"]}

    assert refused(excluded, uplinks=("eth0",), ssh=ssh("eth0")) == []


@pytest.mark.parametrize(
    ("way", "settings", "is_refused"),
    [
        pytest.param(ssh("docker0"), {}, True, id="from-a-container"),
        pytest.param(ssh("br-0123456789ab"), {}, True, id="from-coolify-on-its-own-server"),
        pytest.param(ssh("docker0", "fd00::2"), {}, True, id="v6"),
        pytest.param(ssh("docker0"), {"node_ports": ["22"]}, False, id="its-port-is-let-in"),
        pytest.param(ssh("docker0"), {"node_ports": ["20-30"]}, False, id="in-a-range"),
        pytest.param(ssh("docker0"), {"node_ports": ["22/udp"]}, True, id="another-protocol"),
        pytest.param(ssh("docker0", port=2222), {"node_ports": ["22"]}, True, id="another-port"),
        pytest.param(ssh("docker0"), {"block": ["private"]}, False, id="the-node-is-open"),
        pytest.param(ssh("eth0"), {}, False, id="by-the-way-out"),
        pytest.param(ssh("lo", "127.0.0.1"), {}, False, id="loopback"),
        pytest.param(ssh("br-lan"), {}, True, id="by-a-bridge-that-is-not-dockers"),
        pytest.param(ssh("br-lan"), {"exclude": ["br-lan"]}, False, id="by-one-that-is-excluded"),
        pytest.param(ssh("evil0"), {}, True, id="by-a-bridge-of-another-name"),
        pytest.param(ssh("", "fe80::1%eth0"), {}, False, id="by-no-known-way"),
        pytest.param(None, {}, False, id="not-by-ssh"),
    ],
)
def test_the_controllers_own_ssh_is_let_in(
    way: Ssh | None, settings: dict[str, Any], is_refused: bool
) -> None:
    bridges = ("docker0", "br-lan", "br-0123456789ab", "evil0")

    problems = refused(settings, ssh=way, bridges=bridges)

    assert bool(problems) is is_refused
    for problem in problems:
        assert way is not None
        assert f"it comes from {way.client} over a container interface" in problem.what
        assert f"add '{way.port}' to gvisor_egress['node_ports']" in problem.todo


@pytest.mark.parametrize(
    ("settings", "got"),
    [
        pytest.param({}, [], id="asked-where-it-is"),
        pytest.param({"dns": []}, ["10.0.0.2", "fd00::53"], id="none"),
        pytest.param({"dns": ["FD00::53"]}, ["10.0.0.2"], id="another"),
        pytest.param({"dns": [], "block": []}, [], id="nothing-blocked"),
        pytest.param({"dns": [], "allow": [{"to": "10.0.0.0/24"}]}, ["fd00::53"], id="allowed"),
        pytest.param(
            {"dns": [], "allow": [{"to": "10.0.0.2", "ports": ["50-60/udp"]}]},
            ["fd00::53"],
            id="its-port-allowed",
        ),
        pytest.param(
            {"dns": [], "allow": [{"to": "10.0.0.2", "ports": ["53"]}]},
            ["10.0.0.2", "fd00::53"],
            id="only-tcp-allowed",
        ),
        pytest.param(
            {"dns": [], "block": [], "deny": ["0.0.0.0/0"]}, ["10.0.0.2"], id="all-denied"
        ),
    ],
)
def test_whom_dockers_dns_asks_can_be_asked(settings: dict[str, Any], got: list[str]) -> None:
    problems = refused(settings, resolvers=("10.0.0.2", "127.0.0.53", "junk", "fd00::53%eth0"))

    assert [problem.got for problem in problems] == got
    assert all("gvisor_egress['dns']" in problem.todo for problem in problems)


def test_dockers_own_resolvers_count_instead_of_the_nodes() -> None:
    settings: dict[str, Any] = {"dns": []}

    assert refused(settings, dns=("9.9.9.9",), resolvers=("10.0.0.2",)) == []
    assert [item.got for item in refused(settings, dns=("10.0.0.3",))] == ["10.0.0.3"]


@pytest.mark.parametrize(
    ("settings", "published", "got"),
    [
        pytest.param({}, ("8080/tcp",), "8080/tcp", id="one"),
        pytest.param({}, ("53/udp", "8080/tcp"), "53/udp, 8080/tcp", id="two"),
        pytest.param({"node_ports": ["8000-9000"]}, ("53/udp", "8080/tcp"), "53/udp", id="a-rest"),
        pytest.param({"node_ports": ["8080"]}, ("8080/tcp",), None, id="let-in"),
        pytest.param({"node_ports": ["8080"]}, ("8080/sctp",), "8080/sctp", id="sctp"),
        pytest.param({"block": ["metadata"]}, ("8080/tcp",), None, id="the-node-is-open"),
        pytest.param({}, (), None, id="none-published"),
    ],
)
def test_ports_that_containers_reach_through_the_proxy_are_not_cut(
    settings: dict[str, Any], published: tuple[str, ...], got: str | None
) -> None:
    problems = refused(settings, published=published, proxied=True)

    assert [problem.got for problem in problems] == ([] if got is None else [got])
    assert all('"userland-proxy": False' in problem.todo for problem in problems)
    assert refused(settings, published=published) == []


def test_every_reason_is_told() -> None:
    problems = refused(
        {"interfaces": ["eth*"], "dns": []},
        ssh=ssh("eth0"),
        resolvers=("10.0.0.2",),
        published=("8080/tcp",),
        proxied=True,
    )

    assert [problem.got for problem in problems] == ["eth0", "eth0", "10.0.0.2", "8080/tcp"]


@pytest.mark.parametrize(
    ("address", "settings", "expected"),
    [
        pytest.param("169.254.169.254", {}, True, id="metadata"),
        pytest.param("169.254.169.254", {"block": ["private"]}, False, id="metadata-left-out"),
        pytest.param("10.0.0.1", {}, True, id="private"),
        pytest.param("64:ff9b::a00:1", {}, True, id="private-through-nat64"),
        pytest.param("9.9.9.9", {}, False, id="internet"),
        pytest.param("9.9.9.9", {"deny": ["9.0.0.0/8"]}, True, id="denied"),
        pytest.param("64:ff9b::909:909", {"deny": ["9.0.0.0/8"]}, True, id="denied-by-nat64"),
        pytest.param("2001:db8::1", {"deny": ["0.0.0.0/0"]}, False, id="another-family"),
    ],
)
def test_an_address_is_blocked_as_the_rules_have_it(
    address: str, settings: dict[str, Any], expected: bool
) -> None:
    assert is_blocked(address, egress(**settings)) is expected


@pytest.mark.parametrize(
    ("port", "ranges", "expected"),
    [
        pytest.param("53/udp", ["50-60/udp"], True, id="in"),
        pytest.param("53/udp", ["53"], False, id="another-protocol"),
        pytest.param("53/udp", ["1-52/udp", "54/udp"], False, id="between"),
        pytest.param("65535/tcp", ["65535"], True, id="last"),
        pytest.param("80/sctp", ["80", "80/udp"], False, id="a-protocol-that-no-range-has"),
        pytest.param("80/tcp", [], False, id="nothing"),
    ],
)
def test_a_port_is_covered_by_a_range_of_its_protocol(
    port: str, ranges: list[str], expected: bool
) -> None:
    assert covered(port, ranges) is expected
