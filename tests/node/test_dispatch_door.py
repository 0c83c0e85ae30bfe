"""The door: dockerd asks before it acts, and neither the node nor Docker depends on our program."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.node.audits import sh
from tests.node.dispatching import DEFAULT, IMAGE, Ground, in_sandbox, start
from tests.node.running import remove_containers
from tools.lab import LabNode

pytestmark = pytest.mark.slow

NODES = ("docker-20", "docker-26", "docker-29")
DENIED = "authorization denied by plugin pyinfra-gvisor: "
DOOR = {**DEFAULT, "door": "refuse"}
_OPTED = "type=volume,src=evil2,dst=/bin,volume-opt=type=none,volume-opt=o=bind"
# What a tenant asks for, and what would be on the node then.
ATTACKS = {
    "bind": ("docker create -v /usr/local/sbin/runc.x:/x IMAGE", "/usr/local/sbin/runc.x"),
    "copy-up": (
        "docker volume create -o type=none -o o=bind -o device=/usr/local/sbin evil",
        "/var/lib/docker/volumes/evil",
    ),
    "copy-up-inline": (
        f"docker create --mount {_OPTED},volume-opt=device=/opt/empty IMAGE",
        "/opt/empty/busybox",
    ),
    "nfs": (
        "docker volume create -o type=nfs -o o=addr=127.0.0.1 -o device=:/x evil3",
        "/var/lib/docker/volumes/evil3",
    ),
}


@pytest.fixture(scope="module")
def door(dispatch: Ground) -> Iterator[dict[str, LabNode]]:
    """Nodes with a door."""
    dispatch.deploy(*NODES, **DOOR, proof="always")
    dispatch.known.difference_update(NODES)
    yield {name: dispatch.nodes[name] for name in NODES}
    dispatch.deploy(*NODES, **DEFAULT)


@pytest.mark.parametrize("kind", NODES)
def test_what_would_change_the_node_is_not_begun(door: dict[str, LabNode], kind: str) -> None:
    node = door[kind]
    sh(node, "mkdir -p /opt/empty")
    for name, (command, made) in ATTACKS.items():
        ran = node.exec("sh", "-c", command.replace("IMAGE", IMAGE))
        assert DENIED in ran.stderr, (name, ran)
        assert node.exec("test", "-e", made).code != 0, name


@pytest.mark.parametrize("kind", NODES)
def test_an_ordinary_app_runs(door: dict[str, LabNode], kind: str) -> None:
    node = door[kind]
    start(node, "app")
    assert in_sandbox(node, "app")
    remove_containers(node, "^/app$")
