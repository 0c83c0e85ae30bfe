"""What the rules have to know of a node: which bridges are whose, and who is asked."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.parts.egress.host_network import (
    Surroundings,
    literal,
    matches,
    outside,
    resolvers,
    surroundings,
)
from pyinfra_gvisor.parts.egress.state import DockerNetwork
from tests.unit.egress_states import NETWORKS, egress, found

APPS = "br-0123456789ab"


def around(settings: dict[str, Any] | None = None, **changes: Any) -> Surroundings:
    """What the rules know of a node with these settings."""
    return surroundings(found(**changes), egress(**(settings or {})))


def bridged(*bridges: str, driver: str = "bridge") -> tuple[DockerNetwork, ...]:
    """Docker's networks, with one on each of these bridges."""
    own = [DockerNetwork(name=f"of {it}", driver=driver, bridge=it) for it in bridges]
    return (*NETWORKS, *own)


def test_of_a_plain_node_the_rules_know_its_resolver_alone() -> None:
    assert around() == Surroundings(resolvers=("192.0.2.53",))


@pytest.mark.parametrize(
    "bridges",
    [
        pytest.param(("shop0", "evil0"), id="names-of-their-own"),
        pytest.param((APPS, "br-shop"), id="called-as-dockers"),
        pytest.param(('q"q', "a\\b", "e*", "a b{", "caf??"), id="odd-names"),
        pytest.param(("",), id="none"),
    ],
)
def test_networks_of_dockers_change_no_rules_whatever_their_bridges_are_called(
    bridges: tuple[str, ...],
) -> None:
    known = around(networks=bridged(*bridges), bridges=("docker0", *bridges))

    assert known == around()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"uplinks": ("br0",)}, "carries the default route", id="uplink"),
        pytest.param(
            {"ports": {"br0": "eth0"}}, "has a port that leaves this node (eth0)", id="port"
        ),
        pytest.param(
            {"uplinks": ("br0",), "ports": {"br0": "eth0"}}, "carries the default route", id="both"
        ),
        pytest.param(
            {"uplinks": ("br0",), "networks": bridged("br0")},
            "carries the default route",
            id="docker-shares-it",
        ),
    ],
)
def test_a_bridge_that_the_node_is_reached_by_is_left_alone(
    changes: dict[str, Any], reason: str
) -> None:
    node = found(bridges=("docker0", "br0"), **changes)

    known = surroundings(node, egress())

    assert (known.excluded, known.foreign) == (("br0",), ())
    assert outside(node, egress()) == {"br0": reason}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"bridges": ("docker0", "virbr0", "br-lan")}, ("br-lan", "virbr0"), id="two"),
        pytest.param({"bridges": ("br-0123456789abc",)}, ("br-0123456789abc",), id="13-digits"),
        pytest.param({"bridges": (APPS,)}, (), id="of-a-network-that-is-being-made"),
        pytest.param({"bridges": ("shop0",), "networks": bridged("shop0")}, (), id="dockers"),
        pytest.param({"bridges": ("virbr0",), "networks": ()}, (), id="docker-tells-nothing"),
        pytest.param({"uplinks": ("eth0", "virbr0")}, (), id="no-bridge"),
        pytest.param({"bridges": ("e*",)}, ("e\\*",), id="a-star"),
        pytest.param({"bridges": ('q"q',)}, (), id="a-name-that-nft-cannot-express"),
    ],
)
def test_a_bridge_that_others_have_made_is_filtered_but_not_one_of_containers(
    changes: dict[str, Any], expected: tuple[str, ...]
) -> None:
    known = around(**changes)

    assert (known.foreign, known.excluded) == (expected, ())


@pytest.mark.parametrize(
    ("settings", "interfaces", "excluded", "others"),
    [
        pytest.param({"interfaces": ["virbr0", "cali*", "virbr0"]}, ("virbr0", "cali*"), (), (),
                     id="interfaces"),
        pytest.param({"exclude": ["virbr*"]}, (), ("virbr*", "virbr0"), (), id="exclude"),
        pytest.param({"exclude": ["lxdbr0"]}, (), ("lxdbr0",), ("virbr0",), id="one-not-there"),
        pytest.param({"interfaces": ["vir*"], "exclude": ["virbr0"]}, ("vir*",), ("virbr0",), (),
                     id="all-but-one"),
    ],
)  # fmt: skip
def test_the_settings_say_what_a_bridge_of_others_is(
    settings: dict[str, Any],
    interfaces: tuple[str, ...],
    excluded: tuple[str, ...],
    others: tuple[str, ...],
) -> None:
    known = around(settings, bridges=("docker0", "virbr0"))

    assert known == Surroundings(interfaces, excluded, others, ("192.0.2.53",))


def test_what_the_settings_name_is_not_left_alone_by_itself() -> None:
    known = around({"interfaces": ["br0"]}, bridges=("br0",), uplinks=("br0",))

    assert (known.interfaces, known.excluded) == (("br0",), ())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("br0", "br0", id="plain"),
        pytest.param("a\\b", "a\\b", id="backslash"),
        pytest.param("{;}'$@#", "{;}'$@#", id="signs-of-nft"),
        pytest.param("e*f", "e*f", id="a-star-inside"),
        pytest.param("e*", "e\\*", id="a-star-at-the-end"),
        pytest.param("1234567890123*", "1234567890123\\*", id="a-star-as-the-14th"),
        pytest.param("12345678901234*", None, id="a-star-as-the-15th"),
        pytest.param("a\\*", None, id="backslash-and-star"),
        pytest.param('q"q', None, id="quote"),
        pytest.param("caf??", None, id="no-ascii"),
        pytest.param("\u00e9", None, id="no-ascii-told"),
        pytest.param("a\x01", None, id="control"),
    ],
)
def test_a_name_is_written_so_that_nft_matches_it_alone(name: str, expected: str | None) -> None:
    text = literal(name)

    assert text == expected
    if text is not None:
        assert matches(name, (text,))
        assert not matches(f"{name[:-1]}other", (text,))


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
        pytest.param("e*", "e\\*", True, id="escaped-star"),
        pytest.param("evil0", "e\\*", False, id="escaped-star-is-no-wildcard"),
    ],
)
def test_a_name_matches_as_it_does_in_nft(name: str, pattern: str, expected: bool) -> None:
    assert matches(name, (pattern,)) is expected
