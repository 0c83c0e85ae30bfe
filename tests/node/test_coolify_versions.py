"""The control host with the oldest and the newest Docker that we support, and an older PHP."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.coolify.host import ControlHost
from tests.node.conftest import LAB, lab_of
from tests.node.controlling import CURRENT, DEPLOY, NO_GVISOR, left
from tests.node.coolify_nodes import OTHERS
from tests.node.running import Fleet, Outcome
from tools.lab import LabNode

pytestmark = pytest.mark.slow

PLUGIN = "/usr/libexec/docker/cli-plugins/docker-compose"
TYPED = "--cap-drop=ALL --runtime=runsc"
HONOURED = {"cap_drop": ["ALL"], "runtime": "runsc"}


@pytest.fixture(scope="module")
def others() -> Iterator[dict[str, LabNode]]:
    """Nodes with other versions of Docker, on which Coolify could run."""
    with lab_of(f"{LAB}-coolify-versions", OTHERS) as made:
        # Debian 12 has no such plugin; Coolify's installer brings Docker's own.
        made["docker-20"].put(PLUGIN, made["docker-28"].read(PLUGIN), mode=0o755)
        yield made


def run(fleet: Fleet, name: str, **settings: object) -> Outcome:
    """The deploy on that control host, which has to end well."""
    data = {**NO_GVISOR, **settings}
    return fleet.deploy(name, deploy=DEPLOY, data=data, groups={"coolify": [name]})


def test_the_option_is_honoured_kept_and_taken_back(
    others: dict[str, LabNode], tmp_path: Path
) -> None:
    name = "docker-20"
    host, fleet = ControlHost(others[name]), Fleet(others, tmp_path)
    host.prepare()
    shipped, dropped = host.source_bytes(), host.deploy(TYPED)

    run(fleet, name)
    honoured = host.deploy(TYPED)
    upgraded = host.upgrade("4.0.0-beta.225")
    kept = host.deploy(TYPED)
    again = run(fleet, name)
    host.upgrade(CURRENT)
    run(fleet, name, gvisor_coolify=False)
    host.upgrade(CURRENT)
    run(fleet, name, gvisor_coolify=False)

    assert dropped == {"cap_drop": ["ALL"]}
    assert honoured == kept == HONOURED
    assert upgraded.code == 0, upgraded.stderr
    assert again.stderr.count("No changes") == 2
    assert (host.source_bytes(), left(host)) == (shipped, [])
