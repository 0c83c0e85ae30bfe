"""Capabilities as a container has them, under runc and in a sandbox, and what the audit says."""

from __future__ import annotations

import pytest

from pyinfra_gvisor.lab import LabNode
from tests.node.audits import LABELS, audit
from tests.node.running import Fleet, remove_container, start_container

NODE = "lived-in"
BIND = (
    "use Socket; socket(my $s, PF_INET, SOCK_STREAM, 0) or die;"
    ' print bind($s, sockaddr_in(80, INADDR_ANY)) ? "bound" : "$!"'
)
DROPPED = ("--cap-drop=ALL",)
ADDED = ("--cap-drop=ALL", "--cap-add=NET_BIND_SERVICE")


@pytest.mark.parametrize(
    ("runtime", "options"),
    [
        pytest.param("runc", DROPPED, id="runc-lets-everybody"),
        pytest.param("runsc", (), id="docker's-own-capabilities"),
        pytest.param("runsc", DROPPED, id="all-dropped"),
        pytest.param("runsc", ADDED, id="added-back"),
    ],
)
def test_port_80_needs_no_capability_in_a_sandbox_with_the_hosts_network(
    converged: dict[str, LabNode], runtime: str, options: tuple[str, ...]
) -> None:
    node = converged[NODE]
    start_container(node, "shop", f"--runtime={runtime}", *options)

    ran = node.exec("docker", "exec", "shop", "perl", "-e", BIND)

    remove_container(node, "shop")
    assert ran.stdout == "bound", ran.stderr


def test_an_app_without_a_capability_for_its_port_is_as_good_as_one_that_has_it(
    converged: dict[str, LabNode], fleet: Fleet
) -> None:
    node = converged[NODE]
    ports = ("--expose=80", "--publish=127.0.0.1::443")
    start_container(node, "shop", *LABELS, "--runtime=runsc", *DROPPED, *ports)
    start_container(node, "shop2", *LABELS, "--runtime=runsc", *ADDED, *ports)
    start_container(node, "shop3", *LABELS, "--runtime=runsc", "--cap-drop=NET_RAW", *ports)

    seen = audit(fleet, NODE)

    for name in ("shop", "shop2", "shop3"):
        remove_container(node, name)
    low = {key: item["evidence"] for key, item in seen.found.items() if "low-port" in key}
    kept = {key: item["evidence"] for key, item in seen.found.items() if "-kept" in key}
    assert low == {}
    assert kept == {
        "container-capabilities-kept shop3": "dropped: NET_RAW; kept and not asked for: 13"
    }
    assert seen.outcome.code == 0, seen.outcome.text
