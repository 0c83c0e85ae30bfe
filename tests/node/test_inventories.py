"""The inventories that come with the package: your fleet, Coolify's control host, this machine."""

from __future__ import annotations

import io
import json
import runpy
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.lab import LabNode
from tests.node.running import (
    CURRENT,
    RELEASE,
    ROOT,
    Fleet,
    daemon_json,
    docker_info,
    no_leftovers,
    pyinfra,
)


def group_data(name: str) -> dict[str, Any]:
    found = runpy.run_path(str(ROOT / "inventories" / "group_data" / f"{name}.py"))
    return {key: value for key, value in found.items() if key.startswith("gvisor_")}


def test_an_inventory_without_hosts_says_what_to_edit() -> None:
    outcome = pyinfra("inventories/run.py", "deploys/gvisor.py", "--dry")

    assert outcome.code == 1
    assert (
        "inventories/run.py: it has no host; write your nodes into the list run" in outcome.stderr
    )


def test_build_nodes_alone_are_an_inventory(tmp_path: Path) -> None:
    text = (ROOT / "inventories" / "run.py").read_text()
    edited = tmp_path / "run.py"
    edited.write_text(text.replace('# "build-1.example.com"', '"build-1.example.com"'))

    found = runpy.run_path(str(edited))

    assert (found["build"], found["run"]) == (["build-1.example.com"], [])


def test_coolifys_list_of_servers_needs_to_know_where_coolify_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("COOLIFY_URL", raising=False)

    outcome = pyinfra("inventories/coolify.py", "deploys/audit.py", "--dry")

    assert outcome.code == 1
    assert (
        "inventories/coolify.py: COOLIFY_URL is not set; set it to Coolify's URL" in outcome.stderr
    )


def test_a_release_given_as_a_number_is_refused(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    outcome = fleet.run("plain", flags=("--dry", "--data", "gvisor_release=20240729.0"))

    said = (
        "--data: gvisor_release: must be a string, because a number loses digits, got 20240729.0; "
        "quote it"
    )
    assert outcome.code == 1
    assert said in outcome.stderr


def test_the_settings_of_run_nodes_are_valid_and_pinned(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    outcome = fleet.run("plain", flags=("--dry",), data=group_data("run"))

    assert outcome.code == 0, outcome.text
    url = "https://storage.googleapis.com/gvisor/releases/release/20260928.0/x86_64/gvisor.tar.bz2"
    assert f"install runsc 20260928.0 from {url} beside {RELEASE}" in outcome.stderr


def test_a_control_host_gets_address_pools_and_no_gvisor(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    node = converged["plain"]
    before = daemon_json(node)

    outcome = fleet.run("plain", data=group_data("coolify"))

    found = json.loads(daemon_json(node))
    assert outcome.code == 0, outcome.text
    assert found["default-address-pools"] == [{"base": "10.0.0.0/8", "size": 24}]
    assert "runtimes" not in found
    assert "no-new-privileges" not in found
    assert "runsc" not in docker_info(node)["Runtimes"]
    back = fleet.run("plain")
    assert back.code == 0, back.text
    assert json.loads(daemon_json(node)) == json.loads(before)


def test_a_build_node_gets_a_hardened_docker_and_no_gvisor(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    groups = {"build": ["plain"]}

    outcome = fleet.run("plain", flags=("--dry", "--diff"), data=group_data("build"), groups=groups)

    assert outcome.code == 0, outcome.text
    assert '-    "runtimes": {' in outcome.stderr
    assert "install runsc" not in outcome.stderr
    assert '-    "no-new-privileges"' not in outcome.stderr


def test_address_pools_that_are_there_stay(converged: dict[str, LabNode], fleet: Fleet) -> None:
    node = converged["plain"]
    pools = '{"default-address-pools" : [{"base":"10.9.0.0/16","size":24}],'
    node.put("/etc/docker/daemon.json", daemon_json(node).replace("{", pools, 1).encode())

    outcome = fleet.run("plain", data=group_data("coolify"))

    assert outcome.code == 0, outcome.text
    assert pools in daemon_json(node)
    text = daemon_json(node).replace(pools, "{", 1)
    node.put("/etc/docker/daemon.json", text.encode())
    assert fleet.run("plain").code == 0


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


def test_a_node_bootstraps_itself(
    converged: dict[str, LabNode], fleet: Fleet, packages: Path
) -> None:
    node = converged["plain"]
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
            "runs",
            "deploys",
            "inventories",
        ):
            archive.add(ROOT / name, f"checkout/{name}")
    node.put("/srv/bundle.tar", bundle.getvalue())
    node.exec("tar", "-x", "-f", "/srv/bundle.tar", "-C", "/srv")
    data = " ".join(f"--data '{key}={json.dumps(value)}'" for key, value in CURRENT.items())
    command = (
        "cd /srv/checkout && PYTHONPATH=/srv/packages PYINFRA_PROGRESS=off "
        f"python3 -m pyinfra inventories/local.py deploys/gvisor.py -y {data} < /dev/null"
    )
    node.exec("rm", "/var/lib/pyinfra-gvisor/proof.json")

    first, second = node.exec("sh", "-c", command), node.exec("sh", "-c", command)

    node.exec("sh", "-c", "rm -rf /srv/bundle.tar /srv/checkout /srv/packages")
    assert first.code == second.code == 0, first.stderr + second.stderr
    assert f"[@local] proven runsc {RELEASE} as runsc: " in first.stderr
    changed = second.stderr.partition("--> Results:")[0].count("] Success")
    assert (changed, "No changes" in second.stderr) == (0, True)
    assert no_leftovers(node) == ""
