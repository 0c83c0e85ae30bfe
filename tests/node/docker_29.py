"""Docker 26.1 replaced by 29 under running containers: what the test did and saw."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyinfra_gvisor.lab import FLAVOURS, LabNode, tell_on_stderr
from pyinfra_gvisor.lab.cache import Cache
from pyinfra_gvisor.lab.make import built_docker
from tests.node.running import (
    CURRENT,
    WITH_ROWS,
    Fleet,
    Outcome,
    daemon_json,
    docker_info,
    processes,
    snapshot,
)
from tests.node.transactions import keys

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
    def of(cls, node: LabNode) -> Seen:
        answers = {name: node.exec("docker", "exec", name, "true").code for name in CONTAINERS}
        return cls(daemon_json(node), docker_info(node), processes(node), answers)


@dataclass(frozen=True)
class Upgrade:
    """
    A node that others have used, and that has gVisor, gets Docker 29, and loses gVisor again.

    ``dockerd`` is where Docker is new and runc old; ``refused`` is the run that met that, and
    ``refused_changed`` tells whether it changed anything. ``second_changed``: the same of the run
    after ``converge``. ``rollback`` goes to what was there before gVisor, ``again`` forward again.
    """

    node: LabNode
    before: Seen
    converged: Seen
    dockerd: Seen
    refused: Outcome
    refused_changed: bool
    replaced: Seen
    converge: Outcome
    after_converge: Seen
    second: Outcome
    second_changed: bool
    rollback: Outcome
    rolled_back: Seen
    again: Outcome
    after_again: Seen
    remove: Outcome
    removed: Seen


def upgrade(fleet: Fleet) -> Upgrade:
    """Do all of it on the node called ``upgraded``."""
    node, no_proof = fleet.nodes[NAME], keys()
    before = Seen.of(node)
    first = fleet.run(NAME)
    assert first.code == 0, first.text
    converged = Seen.of(node)

    dockerd, refused, refused_changed, replaced = _replace(fleet)
    converge = fleet.run(NAME, flags=WITH_ROWS)
    after_converge, kept = Seen.of(node), snapshot(node)
    second = fleet.run(NAME)
    second_changed = snapshot(node) != kept
    rollback = fleet.run(NAME, deploy=ROLLBACK, data=no_proof)
    rolled_back = Seen.of(node)
    again = fleet.run(NAME, data=no_proof)
    after_again = Seen.of(node)
    remove = fleet.run(NAME, deploy=REMOVE, data=CURRENT)
    return Upgrade(
        node=node,
        before=before,
        converged=converged,
        dockerd=dockerd,
        refused=refused,
        refused_changed=refused_changed,
        replaced=replaced,
        converge=converge,
        after_converge=after_converge,
        second=second,
        second_changed=second_changed,
        rollback=rollback,
        rolled_back=rolled_back,
        again=again,
        after_again=after_again,
        remove=remove,
        removed=Seen.of(node),
    )


def _replace(fleet: Fleet) -> tuple[Seen, Outcome, bool, Seen]:
    """Replace dockerd, try a run with the old runc, and replace that."""
    node = fleet.nodes[NAME]
    put_programs(node, "dockerd", "docker-proxy")
    restart_docker(node)
    dockerd, kept = Seen.of(node), snapshot(node)
    refused = fleet.run(NAME, data={**keys(), **OTHER_WRAPPER})
    refused_changed = snapshot(node) != kept
    put_programs(node, "runc")
    return dockerd, refused, refused_changed, Seen.of(node)


def put_programs(node: LabNode, *names: str) -> None:
    """Put programs of Docker 29 where those of Debian are, as a package does: by a rename."""
    built = built_docker(FLAVOUR, cache=Cache.of(os.environ), tell=tell_on_stderr)
    for name in names:
        path = f"/usr/sbin/{name}"
        content, mode = built[path]
        node.put(f"{path}.new", content, mode=mode)
        assert node.exec("mv", f"{path}.new", path).code == 0


def restart_docker(node: LabNode) -> None:
    """Restart dockerd as an operator does; systemd counts no more than three starts a minute."""
    ran = node.exec("sh", "-c", "systemctl reset-failed docker; systemctl restart docker")
    assert ran.code == 0, ran.stderr
