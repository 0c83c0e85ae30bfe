"""The run node of Coolify's survives its validation: daemon.json merged, Docker restarted."""

from pathlib import Path

from tests.node.coolify_nodes import Coolify
from tests.node.running import Fleet
from tests.node.validating import survives


def test_docker_26(coolify: Coolify, tmp_path: Path) -> None:
    survives(Fleet(coolify.nodes, tmp_path), "run")
