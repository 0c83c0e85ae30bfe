"""Docker 26.1 replaced by 29 under running containers: what the test did and saw."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.node.running import CURRENT, PROVEN, WITH_ROWS, Fleet, Outcome
from tests.node.seeing import daemon_json, docker_info, processes, snapshot
from tests.node.transactions import keys, restart_docker
from tools.lab import FLAVOURS, LabNode, tell_on_stderr
from tools.lab.cache import Cache
from tools.lab.make import built_docker

NAME = "upgraded"
CONTAINERS = ("shop-db", "old-sandbox")
ROLLBACK, REMOVE = "deploys/rollback.py", "deploys/remove.py"
OTHER_WRAPPER = {"gvisor_runtimes": {"runsc": {"network": "host", "overlay": "self"}}}
FLAVOUR = FLAVOURS["debian-13-docker-29"]


@dataclass(frozen=True)
class Seen:
    """A node at one moment; ``answers`` are the exit codes of ``docker exec`` by container."""

    text: str
    info: Mapping[str, Any]
    running: Mapping[str, int]
    answers: Mapping[str, int]

    @classmethod
    def of(cls, node: LabNode) -> "Seen":
        answers = {name: node.exec("docker", "exec", name, "true").code for name in CONTAINERS}
        return cls(daemon_json(node), docker_info(node), processes(node), answers)


@dataclass
class Upgrade:
    """
    A node that others have used, and that has gVisor, gets Docker 29, and loses gVisor again.

    At the moment "dockerd" Docker is new and runc old; the run "refused" meets that. "rollback"
    goes to what was there before gVisor, "again" forward again.
    """

    fleet: Fleet
    seen: dict[str, Seen] = field(default_factory=dict)
    runs: dict[str, Outcome] = field(default_factory=dict)
    changed: dict[str, bool] = field(default_factory=dict)

    @property
    def node(self) -> LabNode:
        return self.fleet.nodes[NAME]

    def look(self, moment: str) -> None:
        self.seen[moment] = Seen.of(self.node)

    def run(self, name: str, moment: str = "", **given: Any) -> None:
        """Run a deploy; note whether it changed the node, and how that looks at ``moment``."""
        before = snapshot(self.node)
        self.runs[name] = self.fleet.run(NAME, **given)
        self.changed[name] = snapshot(self.node) != before
        if moment:
            self.look(moment)


def upgrade(fleet: Fleet) -> Upgrade:
    """Do all of it on the node called ``upgraded``."""
    done, no_proof = Upgrade(fleet), keys()
    done.look("before")
    done.run("install", "converged", data=PROVEN)
    assert done.runs["install"].code == 0, done.runs["install"].text
    put_programs(done.node, "dockerd", "docker-proxy")
    restart_docker(done.node)
    done.look("dockerd")
    done.run("refused", data={**no_proof, **OTHER_WRAPPER})
    put_programs(done.node, "runc")
    done.look("replaced")
    done.run("converge", "after_converge", flags=WITH_ROWS, data=PROVEN)
    done.run("second", data=PROVEN)
    done.run("rollback", "rolled_back", deploy=ROLLBACK, data=no_proof)
    done.run("again", "after_again", data=no_proof)
    done.run("remove", "removed", deploy=REMOVE, data=CURRENT)
    return done


def put_programs(node: LabNode, *names: str) -> None:
    """Put programs of Docker 29 where those of Debian are, as a package does: by a rename."""
    built = built_docker(FLAVOUR, cache=Cache.of(os.environ), tell=tell_on_stderr)
    for name in names:
        path = f"/usr/sbin/{name}"
        content, mode = built[path]
        node.put(f"{path}.new", content, mode=mode)
        assert node.exec("mv", f"{path}.new", path).code == 0
