"""Apps with a list of their own, by their networks: next to other apps, created again, removed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from tests.node.audits import sh
from tests.node.containers import remove_container, start_container
from tests.node.egress_nodes import METADATA, PRIVATE, PUBLIC, RULES, Ground, at_once, probe
from tests.node.running import Outcome
from tests.node.turns import versions_of_turn
from tests.node.watching import within
from tools.lab import LabNode

# The first with iptables alone, and the one that can have nftables as its own firewall.
RUN = versions_of_turn("docker-20", "docker-29")
PROJECT, LAN, NAME = "shop", "lan", "own.test"
OF_SHOP = f"--label com.docker.compose.project={PROJECT}"
# A stranger's, which looks alike: for Docker, a filter by name is an expression.
STRANGE = f"{OF_SHOP}2 --label x=com.docker.compose.project={PROJECT}"
NETWORKS = {f"{PROJECT}_default": OF_SHOP, LAN: "", f"{LAN}2": STRANGE}
BOXES = {
    "shop": (f"{PROJECT}_default", "runsc"),
    "lan": (LAN, "runc"),
    "stranger": (f"{LAN}2", "runc"),
}
TARGETS = {
    "shop's": f"tcp/{PRIVATE}/80",
    "lan's by name": f"tcp/{PRIVATE}/5432",
    "metadata": f"tcp/{METADATA}/80",
    "open internet": f"tcp/{PUBLIC}/80",
}
APPS = {
    **RULES,
    "apps": [
        {"project": PROJECT, "allow": [{"to": PRIVATE, "ports": ["80"]}]},
        {"network": LAN, "allow": [{"to": NAME, "ports": ["5432"]}]},
    ],
}
STOPPED = dict.fromkeys(TARGETS, "EHOSTUNREACH") | {"open internet": "reached"}
MAY = {
    "shop": {**STOPPED, "shop's": "reached"},
    "lan": {**STOPPED, "lan's by name": "reached"},
    "stranger": STOPPED,
    "tenant": STOPPED,
}
FOLLOWER = "pyinfra-gvisor-egress-members"
MADE_ANEW_S = 10  # what follows the networks has them at once, but the machine may be busy

Seen = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Told:
    """What each container reached on each node, and the runs."""

    ground: Ground
    first: Mapping[str, Seen]
    second: Outcome
    restarted: Mapping[str, Seen]


@pytest.fixture(scope="module")
def told(egress: Ground) -> Iterator[Told]:
    """Three more networks, two of them with a list of their own."""
    egress.deploy(*RUN, egress=RULES)
    egress.have_containers(*RUN)
    at_once(lambda name: build(egress.nodes[name]), RUN)
    egress.deploy(*RUN, egress=APPS)
    first = at_once(lambda name: look(egress, name), RUN)
    second = egress.deploy(*RUN, egress=APPS)
    at_once(lambda name: sh(egress.nodes[name], "systemctl restart docker"), RUN)
    yield Told(egress, first, second, at_once(lambda name: look(egress, name), RUN))
    at_once(lambda name: clear(egress.nodes[name]), RUN)


def build(node: LabNode) -> None:
    """Have networks and containers of apps."""
    sh(node, f"echo '{PRIVATE} {NAME}' >> /etc/hosts")
    for network, options in NETWORKS.items():
        sh(node, f"docker network create {options} {network}")
    for box in BOXES:
        start(node, box)


def start(node: LabNode, box: str) -> None:
    """Start a container of an app."""
    network, runtime = BOXES[box]
    start_container(node, box, f"--network={network}", f"--runtime={runtime}", "--restart=always")


def clear(node: LabNode) -> None:
    """Away with all of it."""
    for box in BOXES:
        remove_container(node, box)
    sh(node, f"docker network rm {' '.join(NETWORKS)}")
    sh(node, f"sed '/{NAME}/d' /etc/hosts > /root/hosts; cat /root/hosts > /etc/hosts")


def look(ground: Ground, name: str) -> Seen:
    """Return what each container of a node reaches."""
    return {box: ground.probe(name, box, TARGETS) for box in MAY}


@pytest.mark.parametrize("name", RUN)
def test_an_app_reaches_what_it_alone_may_and_no_other_does(told: Told, name: str) -> None:
    assert told.first[name] == MAY


@pytest.mark.parametrize("name", RUN)
def test_a_restart_of_dockerd_changes_nothing(told: Told, name: str) -> None:
    assert told.restarted[name] == MAY


def test_a_second_run_changes_nothing(told: Told) -> None:
    assert told.second.idle, told.second.text


@pytest.mark.parametrize("name", RUN)
def test_a_network_that_is_made_anew_has_the_list_and_one_without_its_label_has_not(
    told: Told, name: str
) -> None:
    node, network = told.ground.nodes[name], BOXES["shop"][0]
    inside = ("docker", "exec", "shop")

    def made(options: str) -> bool:
        """Whether its container reaches what the app may."""
        remove_container(node, "shop")
        sh(node, f"docker network rm {network}; docker network create {options} {network}")
        start(node, "shop")
        return within(MADE_ANEW_S, lambda: probe(node, TARGETS, *inside) == MAY["shop"])

    assert made(OF_SHOP)
    assert not made(f"{OF_SHOP}2")
    assert probe(node, TARGETS, *inside) == STOPPED
    assert made(OF_SHOP)


def test_without_apps_nothing_of_them_stays(told: Told) -> None:
    told.ground.deploy(*RUN, egress=RULES)

    for name in RUN:
        node = told.ground.nodes[name]
        assert look(told.ground, name)["shop"] == STOPPED
        left = f"systemctl list-units --all --plain --no-legend '{FOLLOWER}*'"
        assert sh(node, f"{left}; ls /etc/systemd/system | grep {FOLLOWER} || true") == ""
