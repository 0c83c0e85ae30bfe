"""A container is created once more from what Docker tells of it."""

from typing import Any

from pyinfra_gvisor.moves.mover.recreation import recreation
from tests.table import table
from tests.unit.moves.stand_in import OLD_ID, told

IMAGE = "shop:1"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - as Docker tells it


def body(**more: Any) -> dict[str, Any]:
    """The request for a container of which Docker tells this."""
    return dict(recreation(told(**more), IMAGE, {}).body)


def test_it_asks_for_no_runtime_and_has_no_host_name_of_the_old_one() -> None:
    asked = body()

    assert asked["HostConfig"]["Runtime"] == ""
    assert "Hostname" not in asked
    assert body(Config={"Hostname": "own"})["Hostname"] == "own"
    assert "Hostname" not in body(Config={"Hostname": "node"}, HostConfig={"NetworkMode": "host"})


@table(
    "mount, binds, mounts",
    by_image=({}, ["data:/data:nocopy"], []),
    read_only=({"RW": False}, ["data:/data:ro,nocopy"], []),
)
def test_a_volume_without_a_name_is_kept_by_the_name_that_docker_gave(
    mount: dict[str, Any], binds: list[str], mounts: list[Any]
) -> None:
    volume = {"Type": "volume", "Name": "data", "Destination": "/data", "RW": True, **mount}

    host = body(Mounts=[volume])["HostConfig"]

    assert (host["Binds"], host["Mounts"]) == (binds, mounts)


def test_a_volume_of_mount_gets_its_name_there() -> None:
    asked = [{"Type": "volume", "Target": "/data"}, {"Type": "tmpfs", "Target": "/t"}]

    host = body(HostConfig={"Mounts": asked, "Binds": ["x:/x"]})["HostConfig"]

    named = {"Source": "data", "VolumeOptions": {"NoCopy": True}}
    assert host["Mounts"] == [{**asked[0], **named}, asked[1]]
    assert host["Binds"] == ["x:/x"]


@table(
    "asked, expected",
    chosen=([{"HostIp": "", "HostPort": "8080"}], [{"HostIp": "", "HostPort": "8080"}]),
    by_docker=([{"HostIp": "", "HostPort": ""}], [{"HostIp": EVERYWHERE, "HostPort": "32768"}]),
    every=(None, [{"HostIp": EVERYWHERE, "HostPort": "32768"}]),
)
def test_a_published_port_stays(
    asked: list[dict[str, str]] | None, expected: list[dict[str, str]]
) -> None:
    given = {"80/tcp": asked} if asked else {}
    now = {"80/tcp": [{"HostIp": EVERYWHERE, "HostPort": "32768"}], "9/tcp": None}

    host = body(
        HostConfig={"PortBindings": given, "PublishAllPorts": not asked},
        NetworkSettings={"Ports": now},
    )["HostConfig"]

    assert host["PortBindings"] == {"80/tcp": expected}
    assert host["PublishAllPorts"] is False


def test_each_network_has_its_own_aliases_and_addresses_again() -> None:
    networks = {
        "shop_default": {"Aliases": ["web", OLD_ID[:12]], "IPAddress": "172.18.0.2"},
        "front": {"IPAMConfig": {"IPv4Address": "10.0.0.9"}, "MacAddress": "02:42:0a:00:00:09"},
    }
    settings = {"Ports": {}, "Networks": networks}

    found = recreation(told(NetworkSettings=settings), IMAGE, {"front": "02:00:00:00:00:01"})

    first = found.body["NetworkingConfig"]["EndpointsConfig"]
    assert first == {"shop_default": {"Aliases": ["web"]}}
    assert found.networks == {
        "front": {
            "IPAMConfig": {"IPv4Address": "10.0.0.9"},
            "MacAddress": "02:00:00:00:00:01",
        }
    }


def test_the_default_bridge_gets_no_aliases_and_links_are_as_given() -> None:
    settings = {"Ports": {}, "Networks": {"bridge": {"Aliases": [OLD_ID[:12]]}}}
    host = {"NetworkMode": "default", "Links": ["/db:/web/store"]}

    asked = body(NetworkSettings=settings, HostConfig=host)

    assert asked["NetworkingConfig"]["EndpointsConfig"] == {"bridge": {}}
    assert asked["HostConfig"]["Links"] == ["db:store"]


def test_hidden_paths_are_docker_s_own_unless_somebody_wants_none() -> None:
    host = {"MaskedPaths": ["/proc/kcore"], "ReadonlyPaths": []}

    found = body(HostConfig=host)["HostConfig"]

    assert "MaskedPaths" not in found
    assert found["ReadonlyPaths"] == []
