"""
A project of Docker Compose on a node, and its story: up, restarted, made anew, down.

It is ``names_compose.yaml``. Whenever ``db`` starts it gets another address, since stand-ins have
the first ones of its network, and leave one at a time.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.node.audits import sh
from tests.node.containers import must, remove_container
from tests.node.names_asking import settled, sockets
from tests.node.names_nodes import COMPOSE, UNIT, Ground, probe
from tests.node.names_story import BEYOND, RUN, Came
from tests.node.watching import within
from tools.lab import LabNode

PROJECT = "store"
NETWORKS = {"front": ("proxy", "web"), "back": ("web", "db", "cache")}
SERVICES = ("proxy", "web", "db", "cache")
PORT = "8090"
FAR = ("red-runc", "red-gvisor-too", "till-web-1")  # on networks of others
# Of these only, since what Docker itself says where nothing leads out depends on its version.
ASK_FAR = ("proxy", "web", "db")
SETTLED_S = 90  # neighbours know an address by the hardware address it had before

# Debian 12 has the first version of Compose, which is a program of its own.
_COMMANDS = dict.fromkeys(RUN, ("docker", "compose")) | {"names-20": ("docker-compose",)}
_FILE = f"/root/{PROJECT}.yaml"
_TEXT = (Path(__file__).parent / "names_compose.yaml").read_text()
_STAND_INS = ("stand-in-1", "stand-in-2")
_RUN_STAND_IN = f"docker run -d --network={PROJECT}_back -v /usr:/usr:ro --name"
_LABEL = f"label={COMPOSE}.project={PROJECT}"
# dockerd kills a task that it takes for left over; runsc refuses if its sandbox has just ended.
_ENDED = "could not delete stale containerd task object"
_LEFT = f"docker ps -aq --filter {_LABEL}; docker network ls -q --filter {_LABEL}"


@dataclass(frozen=True)
class Service:
    """A container of the project; ``addresses`` are by network."""

    container: str
    health: str
    addresses: Mapping[str, str]


@dataclass(frozen=True)
class Stage:
    """
    The project at a moment.

    ``named`` are the addresses that its neighbours have for ``db`` at once, ``came`` what each
    service has when all has settled, ``published`` what another machine is told by whom it reaches.
    """

    services: Mapping[str, Service]
    named: Mapping[str, str]
    came: Mapping[str, Came]
    published: str

    @property
    def address(self) -> str:
        """Return the address of ``db``."""
        return self.services["db"].addresses["back"]


@dataclass(frozen=True)
class ComposeStory:
    """On a node; ``before`` and ``after`` are what the settled resolver and the kernel hold."""

    up: Stage
    restarted: Stage
    anew: Stage
    before: object
    after: object
    sockets: str
    left: str
    said: str

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Return the stages in their order."""
        return self.up, self.restarted, self.anew


def tell(ground: Ground, name: str) -> ComposeStory:
    """Run the story on one node; nothing of the project remains."""
    project = Project(ground, name)
    project.clear()
    since = sh(project.node, "date +%s").strip()
    before = settled(project.node)
    project.compose("up", "-d", "cache")
    for stand_in in _STAND_INS:
        sh(project.node, f"{_RUN_STAND_IN} {stand_in} names:1 sleep infinity")
    project.compose("up", "-d")
    up = project.look()
    remove_container(project.node, _STAND_INS[1])
    project.restart("db")
    restarted = project.look()
    remove_container(project.node, _STAND_INS[0])
    project.compose("up", "-d", "--force-recreate", "db")
    anew = project.look()
    project.compose("down")
    after = settled(project.node, before)
    left = sh(project.node, _LEFT)
    said = sh(project.node, f"journalctl -q -o cat -t {UNIT} --since @{since}")
    return ComposeStory(up, restarted, anew, before, after, sockets(project.node), left, said)


@dataclass(frozen=True)
class Project:
    """The project on one node."""

    ground: Ground
    name: str

    @property
    def node(self) -> LabNode:
        """Return the project's node."""
        return self.ground.nodes[self.name]

    def compose(self, *arguments: str) -> None:
        """Run a command of Compose, which must succeed."""
        must(self.node, *self._compose, *arguments)

    def restart(self, service: str) -> None:
        """Restart a service: twice if its sandbox ended just before Docker 29 killed it."""
        ran = self.node.exec(*self._compose, "restart", service)
        if ran.code != 0:
            assert _ENDED in ran.stderr, ran.stderr
            self.compose("restart", service)

    @property
    def _compose(self) -> tuple[str, ...]:
        return (*_COMMANDS[self.name], "-p", PROJECT, "-f", _FILE)

    def clear(self) -> None:
        """Have the file, and nothing that an earlier run has left."""
        self.node.put(_FILE, _TEXT.encode())
        for stand_in in _STAND_INS:
            remove_container(self.node, stand_in)
        self.compose("down")

    def services(self) -> dict[str, Service]:
        """The containers by their services."""
        found = json.loads(sh(self.node, f"docker inspect $(docker ps -q --filter {_LABEL})"))
        return {
            item["Config"]["Labels"][f"{COMPOSE}.service"]: Service(
                item["Name"].removeprefix("/"),
                item["State"].get("Health", {}).get("Status", ""),
                {
                    network.removeprefix(f"{PROJECT}_"): end["IPAddress"]
                    for network, end in item["NetworkSettings"]["Networks"].items()
                },
            )
            for item in found
        }

    def look(self) -> Stage:
        """Return what each service has, once that is as expected or the time is up."""
        services = self.services()
        named = {
            service: self._asks(services[service], ["name/db"])["name/db"]
            for service in NETWORKS["back"]
        }
        came: dict[str, Came] = {}

        def has_settled() -> bool:
            wanted = expected(services)
            came.update({item: self._asks(services[item], wanted[item]) for item in wanted})
            return came == wanted and self.services()["db"].health == "healthy"

        within(SETTLED_S, has_settled)
        return Stage(self.services(), named, came, self._published())

    def _asks(self, service: Service, targets: Mapping[str, str] | list[str]) -> Came:
        return self.ground.probe(self.name, service.container, targets)

    def _published(self) -> str:
        outside = self.ground.outside(self.name)
        target = f"tcp/{self.node.address}/{PORT}"
        return probe(outside, [target])[target]


def expected(services: Mapping[str, Service]) -> dict[str, Came]:
    """What each service is to have, by what it asks."""
    return {service: dict(_expected(service, services)) for service in SERVICES}


def _expected(asking: str, services: Mapping[str, Service]) -> Iterator[tuple[str, str]]:
    far = list(FAR)
    for peer in SERVICES:
        shared = [network for network, on in NETWORKS.items() if asking in on and peer in on]
        for called in (peer, services[peer].container):
            if shared:
                yield f"tcp/{called}/80", peer
            else:
                far.append(called)
        if len(shared) == 1:
            yield f"name/{peer}", services[peer].addresses[shared[0]]
    if asking in ASK_FAR:
        leads_out = asking in NETWORKS["front"]
        for called in far:
            yield f"name/{called}", "unknown" if leads_out else "failed"
        for what, word in BEYOND.items():
            yield what, word if leads_out else "failed"
