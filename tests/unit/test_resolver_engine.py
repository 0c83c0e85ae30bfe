"""What Docker says of containers and networks."""

from __future__ import annotations

from typing import Any

import pytest

from pyinfra_gvisor.parts.resolver.forwarder.engine import (
    EngineError,
    Sandbox,
    Source,
    read_sandbox,
    read_sources,
)


def network(name: str, *, driver: str = "bridge", internal: bool = False, **more: Any) -> Any:
    """One of ``/networks``, as Docker 26.1 says it."""
    said = {
        "Name": name,
        "Id": (name * 64)[:64],
        "Scope": "local",
        "Driver": driver,
        "EnableIPv6": False,
        "IPAM": {"Driver": "default", "Options": None, "Config": [{"Subnet": "172.18.0.0/16"}]},
        "Internal": internal,
        "ConfigOnly": False,
        "Containers": {},
        "Options": {},
        "Labels": {},
    }
    return said | more


def end(name: str, address: str, mac: str = "02:42:AC:12:00:02", address6: str = "") -> Any:
    """A container's end of a network."""
    return {
        "IPAMConfig": None,
        "Links": None,
        "Aliases": None,
        "MacAddress": mac,
        "NetworkID": (name * 64)[:64],
        "EndpointID": "e" * 64,
        "Gateway": "172.18.0.1",
        "IPAddress": address,
        "IPPrefixLen": 16,
        "IPv6Gateway": "",
        "GlobalIPv6Address": address6,
        "GlobalIPv6PrefixLen": 0,
        "DriverOpts": None,
        "DNSNames": None,
    }


def container(name: str, **ends: Any) -> Any:
    """One of ``/containers/json``."""
    return {
        "Id": (name * 64)[:64],
        "Names": [f"/{name}"],
        "State": "running",
        "HostConfig": {"NetworkMode": "bridge"},
        "NetworkSettings": {"Networks": ends},
        "Mounts": [],
    }


NETWORKS = [
    network("n", driver="null"),
    network("h", driver="host"),
    network("a", Options={"com.docker.network.bridge.name": "docker0"}),
    network("b", Options=None),
    network("c", internal=True),
    network("o", driver="overlay"),
]


def test_every_address_of_a_container_is_known_with_its_bridge() -> None:
    web = container(
        "w", a=end("a", "172.17.0.2"), b=end("b", "172.18.0.2", "02:42:00:00:00:02", "fd00::2")
    )

    sources = read_sources(NETWORKS, [web])

    ident, mac = "w" * 64, "02:42:00:00:00:02"
    assert sources == {
        "172.17.0.2": Source("172.17.0.2", ident, "02:42:ac:12:00:02", "docker0", leads_out=True),
        "172.18.0.2": Source("172.18.0.2", ident, mac, "br-bbbbbbbbbbbb", leads_out=True),
        "fd00::2": Source("fd00::2", ident, mac, "br-bbbbbbbbbbbb", leads_out=True),
    }
    assert sources["fd00::2"].who == "fd00::2 of container wwwwwwwwwwww"


def test_a_container_on_internal_networks_only_is_not_led_out() -> None:
    inside = container("i", c=end("c", "172.19.0.2"))
    both = container("j", c=end("c", "172.19.0.3"), b=end("b", "172.18.0.3"))

    sources = read_sources(NETWORKS, [inside, both])

    assert {item.address: item.leads_out for item in sources.values()} == {
        "172.19.0.2": False,
        "172.19.0.3": True,
        "172.18.0.3": True,
    }


@pytest.mark.parametrize(
    "ends",
    [
        pytest.param({}, id="the network of another container"),
        pytest.param(None, id="none said"),
        pytest.param({"none": end("n", "")}, id="none"),
        pytest.param({"host": end("h", "", "")}, id="the host's"),
        pytest.param({"b": end("b", "", "")}, id="not yet on its network"),
        pytest.param({"o": end("o", "10.0.0.2")}, id="an overlay"),
        pytest.param({"x": end("x", "172.30.0.2")}, id="a network that came just now"),
    ],
)
def test_a_container_without_an_address_on_a_bridge_is_no_source(ends: Any) -> None:
    odd = container("y") | {"NetworkSettings": {"Networks": ends}}

    sources = read_sources(NETWORKS, [odd, container("w", b=end("b", "172.18.0.2"))])

    assert [*sources] == ["172.18.0.2"]


def test_a_sandbox_has_a_path_and_the_containers_resolvers() -> None:
    key = "/var/run/docker/netns/c0ffee"
    said = {"NetworkSettings": {"SandboxKey": key}, "HostConfig": {"Dns": ["9.9.9.9"]}}

    assert read_sandbox(said) == Sandbox(key, ("9.9.9.9",))
    assert read_sandbox(said | {"HostConfig": {"Dns": None}}) == Sandbox(key, ())


@pytest.mark.parametrize(
    "said",
    [
        pytest.param({}, id="nothing"),
        pytest.param([], id="a list"),
        pytest.param(None, id="null"),
        pytest.param({"NetworkSettings": None, "HostConfig": {}}, id="half of it"),
        pytest.param(
            {"NetworkSettings": {"SandboxKey": ""}, "HostConfig": {"Dns": []}}, id="it has stopped"
        ),
    ],
)
def test_another_sandbox_is_an_error(said: Any) -> None:
    with pytest.raises(EngineError, match=r"is not understood|no network namespace of its own"):
        read_sandbox(said)


@pytest.mark.parametrize(
    ("networks", "containers"),
    [
        pytest.param({"message": "no"}, [], id="networks are an error"),
        pytest.param([], {"message": "no"}, id="containers are an error"),
        pytest.param(None, None, id="null"),
        pytest.param([{}], [], id="a network of nothing"),
        pytest.param([], ["web"], id="containers by name"),
        pytest.param([], [{"Id": "w", "NetworkSettings": None}], id="no settings"),
    ],
)
def test_other_lists_are_an_error(networks: Any, containers: Any) -> None:
    with pytest.raises(EngineError, match="Docker's list of containers is not understood"):
        read_sources(networks, containers)
