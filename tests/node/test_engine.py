"""Docker itself: installed where it is missing and asked for, left as it is where it is there."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.archives import ArchiveServer
from tests.node.audits import sh
from tests.node.old_runsc import OLD, OLD_DEBIAN_12
from tests.node.running import Fleet
from tests.node.seeing import docker_info, snapshot
from tests.table import table
from tools.lab import FLAVOURS, Lab, LabNode, NodeSpec

FLAVOUR_NAMES = ("debian-13", "debian-12")


@pytest.fixture(scope="module")
def bare() -> Iterator[dict[str, LabNode]]:
    """Nodes without Docker, each on its own, gone afterwards."""
    lab = Lab("gvisor-bare")
    lab.down()
    made = lab.up([NodeSpec(FLAVOURS[name]) for name in FLAVOUR_NAMES])
    purge = (
        "systemctl stop docker.socket docker containerd;"
        "DEBIAN_FRONTEND=noninteractive apt-get -qq -y purge docker.io docker-cli containerd runc;"
        "rm -rf /etc/docker /run/docker.sock /run/docker.pid; ! command -v docker"
    )
    for node in made:
        sh(node, purge.replace("docker-cli " if "12" in node.spec.flavour.name else "\0", ""))
    yield dict(zip(FLAVOUR_NAMES, made, strict=True))
    lab.down()


@table(
    "key, says",
    {
        "other-key": (b"another key", r"sha256 of \S+ is [0-9a-f]{64}, expected 1500c1f5"),
        "no-key": (None, "cannot fetch http://127.0.0.1:18080/linux/debian/gpg"),
    },
)
def test_dockers_own_repository_is_not_added_without_its_very_key(
    bare: dict[str, LabNode], archive: Path, tmp_path: Path, key: bytes | None, says: str
) -> None:
    node = bare["debian-13"]
    deploy = tmp_path / "deploy.py"
    deploy.write_text(
        "from pyinfra_gvisor.operations import docker\n"
        "docker.DOCKER_CE = 'http://127.0.0.1:18080/linux'\n"
        "docker.engine(flavour='docker-ce')\n"
    )
    before = snapshot(node)

    with ArchiveServer(archive, [node]) as server:
        if key is not None:
            server.bodies["/linux/debian/gpg"] = key
        outcome = Fleet(bare, tmp_path).run("debian-13", deploy=deploy)

    assert outcome.code == 1
    assert re.search(f"docker\\.engine: .*{says}.*; nothing was changed", outcome.stderr), (
        outcome.text
    )
    assert snapshot(node) == before


@pytest.mark.parametrize("name", FLAVOUR_NAMES)
def test_a_node_without_docker_becomes_a_proven_run_node(
    bare: dict[str, LabNode], tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    fleet = Fleet(bare, tmp_path_factory.mktemp("bare"))
    old = {"debian-13": OLD, "debian-12": OLD_DEBIAN_12}[name]
    data = {**old, "gvisor_docker": "debian"}

    before = snapshot(bare[name])
    dry = fleet.run(name, flags=("--dry",), data=data)
    after_dry = snapshot(bare[name])
    outcome, again = fleet.run(name, data=data), fleet.run(name, data=data)

    assert dry.code == 0, dry.text
    assert "install Docker, debian" in dry.stderr
    assert after_dry == before
    assert outcome.code == 0, outcome.text
    assert docker_info(bare[name])["LiveRestoreEnabled"] is True
    assert bare[name].exec("sh", "-c", "docker compose version || docker-compose version").code == 0
    assert again.idle, again.text
