"""Run nodes survive Coolify's validation of a server: daemon.json merged, Docker restarted."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.lab import LabNode
from tests.node.running import Fleet
from tests.node.validating import survives


@pytest.mark.slow
@pytest.mark.parametrize("name", ["docker-20", "docker-28"])
def test_other_versions_of_docker(converged: dict[str, LabNode], fleet: Fleet, name: str) -> None:
    survives(fleet, name)
