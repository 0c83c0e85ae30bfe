"""The firewall in an audit of a real node: whom it stopped, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pyinfra_gvisor.lab import LabNode, NodeSpec
from tests.node.audits import Audit, audit, settings, sh
from tests.node.conftest import LAB, lab_of
from tests.node.equipped import equipped
from tests.node.proving import keep_in_lab
from tests.node.running import Fleet, remove_container, start_container

NAME = "guarded"
EGRESS = {"new_connections_per_s": None}
TABLE = "inet pyinfra_gvisor"
RULES = "/opt/gvisor/egress/rules.nft"
TEXTFILES = "/var/lib/prometheus/node-exporter"
CONNECT = """
import socket, sys
for target in sys.argv[1:]:
    host, port = target.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=2).close()
    except OSError as error:
        print(error.errno)
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One node, with a firewall that was proven."""
    with lab_of(f"{LAB}-egress-audit", {NAME: NodeSpec(equipped("debian-13"))}) as nodes:
        keep_in_lab(nodes[NAME])
        made = Fleet(nodes, tmp_path_factory.mktemp("fleet"))
        outcome = made.run(NAME, data=settings(egress=EGRESS))
        assert outcome.code == 0, outcome.text
        yield made


@pytest.fixture
def node(fleet: Fleet) -> Iterator[LabNode]:
    """The node; its rules remember nothing, and what a test changes of them is put right."""
    found = fleet.nodes[NAME]
    sh(found, f"for version in 4 6; do nft flush set {TABLE} stopped$version; done")
    yield found
    for name in ("shop", "next", "bare"):
        remove_container(found, name)


def tried(node: LabNode, container: str, *targets: str) -> None:
    """Have a container try to reach these, in vain."""
    ran = node.exec("docker", "exec", container, "python3", "-c", CONNECT, *targets)
    assert ran.stdout.split() == ["113"] * len(targets), f"{ran.stdout}{ran.stderr}"


def look(fleet: Fleet, **others: object) -> Audit:
    """An audit of the node with its firewall declared."""
    return audit(fleet, NAME, **{"egress": EGRESS, **others})


def of_firewall(seen: Audit) -> dict[str, str]:
    """The evidence of what is found in the firewall, by ``rule subject``."""
    return {key: item["evidence"] for key, item in seen.found.items() if key.startswith("egress-")}


def test_who_tried_what_is_named_in_the_report_and_counted_in_the_metrics(
    fleet: Fleet, node: LabNode
) -> None:
    start_container(node, "shop", "--runtime=runsc")
    start_container(node, "bare")
    tried(node, "shop", "169.254.169.254:80", "10.0.0.5:5432")
    gateway = sh(
        node, "docker network inspect bridge --format '{{(index .IPAM.Config 0).Gateway}}'"
    )
    tried(node, "bare", f"{gateway.strip()}:22")
    sh(node, f"mkdir -p {TEXTFILES}")

    seen = look(fleet, textfile_dir=TEXTFILES)

    assert seen.outcome.code == 0, seen.outcome.text
    assert of_firewall(seen) == {
        "egress-stopped shop": "169.254.169.254:80/tcp, 10.0.0.5:5432/tcp",
        "egress-stopped bare": f"{gateway.strip()}:22/tcp",
    }
    assert seen.found["egress-stopped shop"]["severity"] == "low"
    egress = seen.report["egress"]
    assert (egress["declared"], egress["in_force"]) == (True, True)
    assert {item["who"]: item["tried"] for item in egress["stopped"]} == {
        "shop": ["169.254.169.254:80/tcp", "10.0.0.5:5432/tcp"],
        "bare": [f"{gateway.strip()}:22/tcp"],
    }
    counter = sh(node, f"nft list counter {TABLE} drop_metadata")
    packets = int(counter.split("packets ")[1].split()[0])
    assert egress["counters"]["drop_metadata"] == packets > 0
    metrics = sh(node, f"cat {TEXTFILES}/pyinfra_gvisor.prom; rm -r {TEXTFILES}")
    assert "gvisor_egress_in_force 1\n" in metrics
    sample = f'gvisor_egress_packets_total{{verdict="drop",rule="metadata"}} {packets}\n'
    assert sample in metrics
    assert "LOW egress-stopped shop: The firewall blocked attempts" in seen.outcome.stderr


def test_what_is_wrong_with_a_firewall_fails_the_host_until_it_is_put_right(
    fleet: Fleet, node: LabNode
) -> None:
    sh(node, f"nft flush chain {TABLE} beyond")
    sh(node, "docker network create -d macvlan -o parent=eth0 --subnet 192.168.77.0/24 lan")
    for bridge in ("lan0", "e*", 'q"q', "a\\b"):
        option = f"com.docker.network.bridge.name={bridge}"
        assert (
            node.exec("docker", "network", "create", "-o", option, f"n{ord(bridge[0])}").code == 0
        )
    sh(node, "ip link add virbr0 type bridge")
    start_container(node, "bare", "--network=host")

    seen = look(fleet)
    sh(node, "docker network rm lan n108 n101 n113 n97; ip link del virbr0")
    remove_container(node, "bare")
    mended = fleet.run(NAME, data=settings(egress=EGRESS))

    assert seen.outcome.code == 1
    found = of_firewall(seen)
    assert found.pop(f"egress-not-as-declared {TABLE}").startswith(f"{RULES} is not as declared; ")
    assert found == {
        f"egress-not-in-force {TABLE}": f"table {TABLE} was changed after it was loaded",
        "egress-not-covered network lan": "its driver is macvlan",
        "egress-not-covered network host": "used by bare",
        "egress-other-bridge bridge virbr0": "not created by Docker, but filtered like its bridges",
    }
    assert mended.code == 0, mended.text
    assert of_firewall(look(fleet)) == {}
