"""What the rules have to know of a node: which interfaces are containers', and who is asked."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.parts.egress.settings import DOCKERS_BRIDGES
from pyinfra_gvisor.parts.egress.state import DockerNetwork
from pyinfra_gvisor.parts.egress.surroundings import Surroundings, matches, resolvers, surroundings
from tests.unit.egress_states import NETWORKS, egress, found

APPS = "br-0123456789ab"


def around(settings: dict[str, Any] | None = None, **changes: Any) -> Surroundings:
    """What the rules know of a node with these settings."""
    return surroundings(found(**changes), egress(**(settings or {})))


def bridged(*bridges: str, driver: str = "bridge") -> tuple[DockerNetwork, ...]:
    """Docker's networks, with one on each of these bridges."""
    own = [DockerNetwork(name=f"of {it}", driver=driver, bridge=it) for it in bridges]
    return (*NETWORKS, *own)


def test_a_plain_node_has_dockers_bridges_and_its_own_resolver() -> None:
    assert around() == Surroundings(DOCKERS_BRIDGES, (), ("192.0.2.53",))


def test_a_docker_that_tells_no_networks_has_the_bridges_that_it_would_make() -> None:
    known = around(networks=(), bridges=("docker0", APPS, "docker_gwbridge"))

    assert (known.interfaces, known.excluded) == (DOCKERS_BRIDGES, ())


@pytest.mark.parametrize(
    ("bridges", "more"),
    [
        pytest.param(("shop0", "cni0"), ("cni0", "shop0"), id="names-of-their-own"),
        pytest.param((APPS, "br-shop"), (), id="called-as-dockers"),
        pytest.param(("a b{", "a*b"), ("a b{", "a*b"), id="odd-names"),
        pytest.param(("",), (), id="none"),
    ],
)
def test_a_bridge_that_a_network_was_given_is_containers(
    bridges: tuple[str, ...], more: tuple[str, ...]
) -> None:
    known = around(networks=bridged(*bridges), bridges=bridges)

    assert known == Surroundings((*DOCKERS_BRIDGES, *more), (), ("192.0.2.53",))


@pytest.mark.parametrize(
    ("changes", "excluded"),
    [
        pytest.param({"bridges": ("docker0", "br-lan")}, ("br-lan",), id="bridge"),
        pytest.param({"uplinks": ("br-lan",)}, ("br-lan",), id="uplink"),
        pytest.param({"uplinks": ("br-lan.7", "eth0")}, ("br-lan.7",), id="vlan"),
        pytest.param({"uplinks": ("br0",), "bridges": ("br0",)}, (), id="not-called-alike"),
        pytest.param({"bridges": (APPS,)}, (), id="of-a-network-that-is-being-made"),
        pytest.param({"uplinks": ("br-wan", "br-lan")}, ("br-lan", "br-wan"), id="several"),
        pytest.param({"networks": bridged("br-lan"), "bridges": ("br-lan",)}, (), id="dockers-own"),
        pytest.param({"bridges": ("br-0123456789abc",)}, ("br-0123456789abc",), id="13-digits"),
    ],
)
def test_what_is_only_called_like_dockers_is_left_alone(
    changes: dict[str, Any], excluded: tuple[str, ...]
) -> None:
    known = around(**changes)

    assert (known.interfaces, known.excluded) == (DOCKERS_BRIDGES, excluded)


@pytest.mark.parametrize(
    ("interfaces", "expected", "excluded"),
    [
        pytest.param(["virbr0"], (*DOCKERS_BRIDGES, "virbr0"), ("br-lan",), id="another"),
        pytest.param(["br-lan"], DOCKERS_BRIDGES, (), id="one-that-would-be-excluded"),
        pytest.param(["br-*"], DOCKERS_BRIDGES, (), id="all-called-like-dockers"),
        pytest.param(["br*"], ("docker0", "docker_gwbridge", "br*"), (), id="wider"),
        pytest.param(["docker*"], ("br-*", "docker*"), ("br-lan",), id="two-of-them"),
        pytest.param(["docker0"], DOCKERS_BRIDGES, ("br-lan",), id="known-anyway"),
    ],
)
def test_what_the_settings_name_is_containers_and_named_once(
    interfaces: list[str], expected: tuple[str, ...], excluded: tuple[str, ...]
) -> None:
    known = around({"interfaces": interfaces}, bridges=("br-lan",))

    assert (known.interfaces, known.excluded) == (expected, excluded)


@pytest.mark.parametrize(
    ("told", "named", "expected"),
    [
        pytest.param(("10.0.0.2", "fd00::53"), (), ("10.0.0.2", "fd00::53"), id="the-nodes"),
        pytest.param(("10.0.0.2",), ("10.0.0.3",), ("10.0.0.3",), id="dockers-before-the-nodes"),
        pytest.param(("127.0.0.53", "127.0.0.1", "::1"), (), (), id="loopback"),
        pytest.param(("10.0.0.2",), ("127.0.0.1",), (), id="dockers-on-loopback"),
        pytest.param(("fe80::1%eth0",), (), ("fe80::1",), id="scope"),
        pytest.param(("fe80::1%x }\naccept",), (), ("fe80::1",), id="scope-with-a-rule"),
        pytest.param(("FD00:0::53",), (), ("fd00::53",), id="written-otherwise"),
        pytest.param(("::ffff:10.0.0.2",), (), ("10.0.0.2",), id="ipv4-in-ipv6s-form"),
        pytest.param(("::ffff:127.0.0.1",), (), (), id="loopback-in-ipv6s-form"),
        pytest.param(("", "None", "one.one", "10.0.0.0/8", "10.0.0.2\r", "2"), (), (), id="junk"),
    ],
)
def test_those_are_asked_whom_docker_asks(
    told: tuple[str, ...], named: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert resolvers(found(resolvers=told), named) == expected


@pytest.mark.parametrize(
    ("dns", "expected"),
    [
        pytest.param(None, ("10.0.0.2",), id="the-nodes"),
        pytest.param([], (), id="none"),
        pytest.param(["10.0.0.9", "10.0.0.8", "10.0.0.9"], ("10.0.0.8", "10.0.0.9"), id="named"),
    ],
)
def test_the_settings_name_others(dns: list[str] | None, expected: tuple[str, ...]) -> None:
    known = around({"dns": dns}, resolvers=("10.0.0.2", "10.0.0.2", "127.0.0.53"))

    assert known.resolvers == expected


@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        pytest.param("docker0", "docker0", True, id="same"),
        pytest.param("docker01", "docker0", False, id="longer"),
        pytest.param("br-x", "br-*", True, id="beginning"),
        pytest.param("br-", "br-*", True, id="nothing-behind"),
        pytest.param("br", "br-*", False, id="shorter"),
        pytest.param("BR-x", "br-*", False, id="upper-case"),
        pytest.param("a[b]", "a[b]", True, id="brackets-are-themselves"),
        pytest.param("ab", "a?", False, id="question-mark-is-itself"),
        pytest.param("ab", "a[b]", False, id="no-classes"),
        pytest.param("axb", "a*b", False, id="star-inside-is-itself"),
    ],
)
def test_a_name_matches_as_it_does_in_nft(name: str, pattern: str, expected: bool) -> None:
    assert matches(name, (pattern,)) is expected
