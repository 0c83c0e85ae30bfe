"""
A whole deploy whose node loses power in the middle of a step: each step, one after the other.

The node changes between two declared states, so that every step of a deploy has work to do: parts
come and go, and some changes bring another release.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.lab import LabNode, NodeSpec
from pyinfra_gvisor.lab.containers import ContainerNode
from pyinfra_gvisor.proof.judges import GVISOR_KERNEL
from tests.node.archives import current_archive, release_archive, sha512
from tests.node.audits import sh
from tests.node.conftest import LAB, lab_of
from tests.node.equipped import equipped, free_port_80
from tests.node.faults import PENDING, wait_for
from tests.node.running import (
    CURRENT,
    Fleet,
    Outcome,
    no_leftovers,
    processes,
    start_container,
)

pytestmark = pytest.mark.slow

NAME = "cut"
FIRST_RELEASE = 20260906
ALWAYS = ("--restart=unless-stopped",)
APPS = {"bare": "runc", "boxed": "runsc"}

FEW: dict[str, Any] = {"gvisor_daemon_json": {"log-driver": "json-file"}}
MANY: dict[str, Any] = {
    "gvisor_daemon_json": {"log-driver": "local"},
    "gvisor_egress": {},
    "gvisor_kernel": {},
    "gvisor_runtimes": {"runsc": {}, "inner": {"network": "sandbox", "dns": "docker"}},
    "gvisor_watch": True,
}

# Where the power is cut, in a change to which state, and whether that brings another release. Each
# change begins where the one before it has ended.
CUTS = (
    ("Block kernel modules and set sysctls", MANY, False),
    ("Allow blocked kernel modules and revert sysctls", FEW, False),
    ("Apply the egress firewall", MANY, False),
    ("Remove the egress firewall", FEW, False),
    ("Install the DNS resolver for sandboxes", MANY, False),
    ("Remove the DNS resolver for sandboxes", FEW, False),
    ("Install the watch for containers outside gVisor", MANY, False),
    ("Remove the watch for containers outside gVisor", FEW, False),
    ("Prove isolation", MANY, False),
    ("Write runtime wrappers", FEW, True),
    ("Install runsc", MANY, True),
    ("Prove the new release", FEW, True),
    ("Apply daemon.json", MANY, True),
    ("Update the runsc link", FEW, True),
    ("Remove unused releases", MANY, True),
)

SHARED = """
[Unit]
DefaultDependencies=no
Before=sysinit.target docker.service
[Service]
Type=oneshot
ExecStart=mount --make-rshared /
[Install]
WantedBy=sysinit.target
"""
"""What systemd does at the boot of a machine and leaves out in a container."""

DEPLOY = """
import json
import os
import signal
from pathlib import Path
from time import monotonic

import gevent
from pyinfra.connectors.ssh import SSHConnector
from pyinfra_gvisor.deploys.gvisor import run_node

directory = Path({directory!r})
seen = []


def cut_power():
    name, took_s = seen[-1]
    (directory / "cut").write_text(name if took_s is None else "between two commands")
    os.kill({pid}, signal.SIGKILL)


def timed(whole, self, *args, **kwargs):
    hash_ = self.host.executing_op_hash
    if hash_ is None:
        return whole(self, *args, **kwargs)
    (name,) = self.state.get_op_meta(hash_).names
    name = name.removeprefix("gVisor | ")
    place = len([step for step, _ in seen if step == name])
    seen.append([name, None])
    if {cut!r} and name.startswith({cut!r}) and place == {place!r}:
        gevent.spawn_later({after_s!r}, cut_power)
    began_s = monotonic()
    try:
        return whole(self, *args, **kwargs)
    finally:
        seen[-1][1] = monotonic() - began_s
        (directory / "steps").write_text(json.dumps(seen))


for what in ("run_shell_command", "put_file"):
    whole = getattr(SSHConnector, what)
    setattr(SSHConnector, what, lambda *args, whole=whole, **kwargs: timed(whole, *args, **kwargs))
run_node()
"""


@dataclass
class Cuts:
    """One node that loses power, and how long each command of each step takes on it."""

    fleet: Fleet
    directory: Path
    declared: dict[str, Any] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=count)
    took: dict[tuple[str, bool], list[float]] = field(default_factory=dict)
    """The seconds of each command, by step and whether the run brings parts."""

    @property
    def node(self) -> LabNode:
        return self.fleet.nodes[NAME]

    def declare(self, state: dict[str, Any], *, other_release: bool) -> None:
        """Change what is declared."""
        release = {key: self.declared.get(key, CURRENT[key]) for key in CURRENT}
        if other_release:
            name = f"{FIRST_RELEASE + next(self.numbers)}.0"
            archive = release_archive(current_archive(), name, self.directory)
            release |= {
                "gvisor_release": name,
                "gvisor_source": str(archive),
                "gvisor_sha512": dict.fromkeys(CURRENT["gvisor_sha512"], sha512(archive)),
            }
        self.declared = {**release, **state, "gvisor_keep_releases": 1}

    def run(self, cut: str = "", place: int = 0, after_s: float = 0) -> Outcome:
        """A run to what is declared; the power is cut so long after a command of a step begins."""
        for name in ("steps", "cut"):
            (self.directory / name).unlink(missing_ok=True)
        deploy = self.directory / "deploy.py"
        values = {"directory": str(self.directory), "cut": cut, "place": place, "after_s": after_s}
        deploy.write_text(DEPLOY.format(pid=_first_process(self.node), **values))
        return self.fleet.run(NAME, data=self.declared, deploy=deploy)

    def cut(self, step: str, state: dict[str, Any], *, other_release: bool) -> None:
        """
        Change to a state, and cut the power in the middle of a step.

        How long a step takes changes with what else the machine does: where the cut came too late,
        the node goes there and back, and the next one comes earlier, at last with the step's begin.
        """
        for share in (1 / 6, 1 / 24, 0.0):
            self.declare(state, other_release=other_release)
            place, took_s = self._longest(step) if share else (0, 0.0)
            outcome = self.run(step, place, took_s * share)
            where = self.directory / "cut"
            if where.exists():
                wait_until_off(self.node)
                if where.read_text().startswith(step):
                    assert outcome.code != 0, outcome.text
                    return
                self.node.start()
            self.settle()
            self.declare(FEW if state is MANY else MANY, other_release=False)
            self.settle()
        pytest.fail(f"no cut came in {step}")

    def settle(self) -> None:
        """Bring the node to what is declared."""
        outcome = self.run()
        assert outcome.code == 0, outcome.text

    def learn(self) -> None:
        """Keep how long each command of the last run took."""
        seen = json.loads((self.directory / "steps").read_text())
        for name in {name for name, _ in seen}:
            took = [took_s for step, took_s in seen if step == name]
            self.took[name, self.brings_parts] = took

    @property
    def brings_parts(self) -> bool:
        """Whether what is declared has parts."""
        return "gvisor_watch" in self.declared

    def _longest(self, cut: str) -> tuple[int, float]:
        """Which of a step's commands took longest, and its seconds."""
        found = {parts: took for (name, parts), took in self.took.items() if name.startswith(cut)}
        took = found.get(self.brings_parts) or found[not self.brings_parts]
        return took.index(max(took)), max(took)


def wait_until_off(node: LabNode) -> None:
    """Wait until Docker, too, has seen that the node's first process is gone."""
    assert isinstance(node, ContainerNode)
    node.container.wait(timeout=node.ready_timeout_s)


def _first_process(node: LabNode) -> int:
    assert isinstance(node, ContainerNode)
    node.container.reload()
    pid = int(node.container.attrs["State"]["Pid"])
    assert pid > 1, "it runs"
    return pid


@pytest.fixture(scope="module")
def cuts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cuts]:
    """A node that has been in both states, with an app in a sandbox and one without."""
    with lab_of(f"{LAB}-cuts", {NAME: NodeSpec(equipped("debian-13"))}) as made:
        free_port_80(made[NAME])
        made[NAME].put("/etc/systemd/system/shared.service", SHARED.encode())
        sh(made[NAME], "systemctl enable --quiet --now shared")
        directory = tmp_path_factory.mktemp("cuts")
        cuts = Cuts(Fleet(made, directory), directory)
        for state, other_release in ((MANY, False), (FEW, True)):
            cuts.declare(state, other_release=other_release)
            cuts.settle()
            cuts.learn()
            for name, runtime in APPS.items():
                if name not in processes(cuts.node):
                    start_container(cuts.node, name, *ALWAYS, f"--runtime={runtime}")
        yield cuts


def test_every_step_of_a_deploy_is_cut_in_one_of_the_tests(cuts: Cuts) -> None:
    steps = {name for name, _ in cuts.took}

    missing = {name for name in steps if not any(name.startswith(cut) for cut, _, _ in CUTS)}

    assert missing == set()


@pytest.mark.parametrize(
    ("step", "state", "other_release"),
    [
        pytest.param(*cut, id=f"{cut[0].lower().replace(' ', '-')}-{number}")
        for number, cut in enumerate(CUTS)
    ],
)
def test_a_power_cut_in_the_middle_of_a_step_leaves_no_app_down_and_the_next_run_gets_there(
    cuts: Cuts, step: str, state: dict[str, Any], other_release: bool
) -> None:
    node = cuts.node
    if node.state != "running":  # what a failed test has left
        node.start()

    cuts.cut(step, state, other_release=other_release)
    node.start()

    assert node.exec("test", "-e", PENDING).code == 1, "undone or finished at boot"
    for name in APPS:
        wait_for(node, f"docker exec {name} true", timeout_s=20)
    running = processes(node)
    first, second = cuts.run(), cuts.run()
    assert first.code == 0, first.text
    assert second.idle, second.text
    assert processes(node) == running
    assert leftovers(node, parts=state is MANY) == []
    assert sh(node, "docker exec boxed uname -v") == f"{GVISOR_KERNEL}\n"


def leftovers(node: LabNode, *, parts: bool) -> list[str]:
    """
    Return what a run must not leave, apart from units of parts on a node that has them, and from
    systemd's own directories: it removes those of another boot, and a container has one boot id.
    """
    others = ("systemd-private-", *(("/etc/systemd/system/",) if parts else ()))
    return [line for line in no_leftovers(node).splitlines() if not line.startswith(others)]
