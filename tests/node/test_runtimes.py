"""Several runtimes on one node: what each is, what is refused, and how one goes again."""

import json
from typing import Any

import pytest

from tests.node.containers import remove_container, start_container
from tests.node.running import CURRENT, RELEASE, Fleet
from tests.node.seeing import daemon_json, docker_info, no_leftovers, snapshot
from tests.node.transactions import assert_as_declared
from tests.table import table
from tools.lab import LabNode

pytestmark = pytest.mark.usefixtures("converged")

REASON = "to trace one tenant's own containers"
ODD = {"flags": ["--allow-flag-override"], "reason": REASON}
SEVERAL = {
    "runsc": {},
    "offline": {"network": "none"},
    "fast": {"overlay": "self", "panic_log": "/var/log/gvisor/%COMMAND%.panic"},
    "odd": ODD,
}


def asking(**runtimes: Any) -> dict[str, Any]:
    return {**CURRENT, "gvisor_runtimes": runtimes}


def wrapper_text(node: LabNode, name: str) -> str:
    """The script that the live daemon starts for this runtime."""
    path = docker_info(node)["Runtimes"][name]["path"]
    return node.exec("cat", path).stdout


def links(node: LabNode, name: str) -> set[str]:
    """The network interfaces that a container under this runtime sees."""
    start_container(node, "seen", f"--runtime={name}")
    listed = node.exec("docker", "exec", "seen", "cat", "/proc/net/dev").stdout
    remove_container(node, "seen")
    return {line.split(":")[0].strip() for line in listed.splitlines() if ":" in line}


@pytest.mark.parametrize("name", ["lived-in", pytest.param("docker-20", marks=pytest.mark.slow)])
def test_several_runtimes_stand_side_by_side_and_one_that_is_taken_out_is_gone(
    fleet: Fleet, name: str
) -> None:
    node = fleet.nodes[name]

    several = fleet.run(name, data=asking(**SEVERAL))
    again = fleet.run(name, data=asking(**SEVERAL))

    assert several.code == again.code == 0, several.text + again.text
    assert again.idle
    assert set(SEVERAL) <= set(docker_info(node)["Runtimes"])
    assert " --network=none --overlay2=none " in wrapper_text(node, "offline")
    assert " --overlay2=root:self --panic-log=/var/log/gvisor/" in wrapper_text(node, "fast")
    assert wrapper_text(node, "odd").endswith(' --overlay2=none --allow-flag-override "$@"\n')
    assert "eth0" in links(node, "runsc")
    assert "eth0" not in links(node, "offline")

    fleet.deploy(name, data=asking(runsc={}, offline=SEVERAL["offline"]))

    assert {"runsc", "offline"} <= set(docker_info(node)["Runtimes"])
    assert not {"fast", "odd"} & set(docker_info(node)["Runtimes"])
    assert not {"fast", "odd"} & set(json.loads(daemon_json(node))["runtimes"])
    assert_as_declared(fleet, name)
    assert "offline" not in docker_info(node)["Runtimes"]


@table(
    "profile, said",
    {
        "misspelt": (
            {"flags": ["--oci-secomp"], "reason": REASON},
            "flag provided but not defined: -oci-secomp",
        ),
        "value": (
            {"flags": ["--file-access=sometimes"], "reason": REASON},
            'invalid value "sometimes" for flag -file-access',
        ),
        "two-that-exclude-each-other": (
            {"overlay": "self", "flags": ["--file-access=shared"]},
            "overlay flag is incompatible with shared file access for rootfs",
        ),
    },
)
def test_flags_that_runsc_refuses_are_told_and_nothing_is_changed(
    fleet: Fleet, profile: dict[str, Any], said: str
) -> None:
    name = "docker-20"
    before = snapshot(fleet.nodes[name])

    outcome = fleet.run(name, data=asking(runsc={}, offline={"network": "none"}, odd=profile))

    assert outcome.code == 1
    assert f"gvisor.runtimes: runtime odd on {name}: runsc {RELEASE} refuses its flags: " in (
        outcome.stderr
    )
    assert said in outcome.stderr
    assert 'correct gvisor_runtimes["odd"]' in outcome.stderr
    assert snapshot(fleet.nodes[name]) == before
    assert no_leftovers(fleet.nodes[name]) == ""
