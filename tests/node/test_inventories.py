"""The inventories that come with the package: your fleet, Coolify's control host, this machine."""

import io
import json
import runpy
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.node.running import PROVEN, RELEASE, ROOT, Fleet, Outcome
from tests.node.seeing import daemon_json, docker_info, no_leftovers

pytestmark = pytest.mark.usefixtures("converged")


def group_data(name: str) -> dict[str, Any]:
    found = runpy.run_path(str(ROOT / "inventories" / "group_data" / f"{name}.py"))
    return {key: value for key, value in found.items() if key.startswith("gvisor_")}


def test_a_control_host_gets_address_pools_and_no_gvisor(fleet: Fleet) -> None:
    node = fleet.nodes["plain"]
    before = daemon_json(node)

    outcome = fleet.run("plain", data=group_data("coolify"))

    found = json.loads(daemon_json(node))
    assert outcome.code == 0, outcome.text
    assert found["default-address-pools"] == [{"base": "10.0.0.0/8", "size": 24}]
    assert "runtimes" not in found
    assert "no-new-privileges" not in found
    assert "runsc" not in docker_info(node)["Runtimes"]
    fleet.deploy("plain")
    assert json.loads(daemon_json(node)) == json.loads(before)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pyinfra and pydantic for the Python of a Debian 13 node, whatever Python this is."""
    directory = tmp_path_factory.mktemp("packages")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(directory)]
    command += ["--python-version", "3.13", "--platform", "manylinux_2_28_x86_64"]
    command += [
        "--platform",
        "manylinux2014_x86_64",
        "--only-binary=:all:",
        "pyinfra>=3.10,<4",
        "pydantic>=2.11,<3",
    ]
    subprocess.run(command, check=True)
    return directory


def test_a_node_bootstraps_itself(fleet: Fleet, packages: Path) -> None:
    node = fleet.nodes["plain"]
    node.exec(
        "sh",
        "-c",
        "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install python3",
    )
    bundle = io.BytesIO()
    with tarfile.open(fileobj=bundle, mode="w") as archive:
        archive.add(packages, "packages")
        for name in (
            "config.py",
            "pyproject.toml",
            "pyinfra_gvisor",
            "facts",
            "operations",
            "run_support",
            "deploys",
            "inventories",
        ):
            archive.add(ROOT / name, f"checkout/{name}")
    node.put("/srv/bundle.tar", bundle.getvalue())
    node.exec("tar", "-x", "-f", "/srv/bundle.tar", "-C", "/srv")
    data = " ".join(f"--data '{key}={json.dumps(value)}'" for key, value in PROVEN.items())
    command = (
        "cd /srv/checkout && PYTHONPATH=/srv/packages PYINFRA_PROGRESS=off "
        f"python3 -m pyinfra inventories/local.py deploys/gvisor.py -y {data} < /dev/null"
    )
    node.exec("rm", "/var/lib/pyinfra-gvisor/proof.json")

    first, second = node.exec("sh", "-c", command), node.exec("sh", "-c", command)

    node.exec("sh", "-c", "rm -rf /srv/bundle.tar /srv/checkout /srv/packages")
    assert first.code == second.code == 0, first.stderr + second.stderr
    assert f"[@local] proven runsc {RELEASE} as runsc: " in first.stderr
    assert Outcome(second.code, second.stdout, second.stderr).idle, second.stderr
    assert no_leftovers(node) == ""
