"""
Whole deploys whose node loses power in the middle of a step: each step, one after the other.

The node changes between two declared states, so that every step of a deploy has work to do: parts
come and go, and each change brings another release. The run after a cut loses power in the next
step, until one comes through: what is half done adds up, as on a node whose power comes and goes.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pyinfra_gvisor.proof.judges import GVISOR_KERNEL
from tests.node.archives import current_archive, release_archive, sha512
from tests.node.audits import sh
from tests.node.conftest import LAB, lab_of
from tests.node.containers import start_container
from tests.node.equipped import equipped, free_port_80
from tests.node.faults import PENDING, wait_for
from tests.node.running import CURRENT, OFF, Fleet, Outcome
from tests.node.seeing import no_leftovers, processes
from tests.node.turns import steps_of_turn
from tests.table import table
from tools.lab import LabNode, NodeSpec
from tools.lab.containers import ContainerNode

pytestmark = pytest.mark.slow

NAME = "cut"
FIRST_RELEASE = 20260906
ALWAYS = ("--restart=unless-stopped",)
APPS = {"bare": "runc", "boxed": "runsc"}

FEW: dict[str, Any] = {**OFF, "gvisor_daemon_json": {"log-driver": "json-file"}}
MANY: dict[str, Any] = {
    **OFF,
    "gvisor_daemon_json": {"log-driver": "local"},
    "gvisor_egress": {},
    "gvisor_kernel": {},
    "gvisor_proof": "changed",
    "gvisor_runtimes": {"runsc": {}, "inner": {"network": "sandbox", "dns": "docker"}},
    "gvisor_watch": True,
}

SHARES = (1 / 6, 1 / 24, 0.0)
"""
Where in a step the power is cut, as a share of how long it took without a cut.

How long a step takes changes with what else the machine does: where a cut came too late, the next
one comes earlier, at last with the step's begin.
"""

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
import re
import signal
from functools import partial
from pathlib import Path
from time import monotonic

import gevent
from pyinfra import host
from pyinfra_gvisor.deploys.gvisor import run_node

directory = Path({directory!r})
cuts = {cuts!r}
seen = []


def cut_power():
    name, took_s = seen[-1]
    (directory / "cut").write_text(name if took_s is None else "between two commands")
    os.kill({pid}, signal.SIGKILL)


def timed(whole, *args, **kwargs):
    hash_ = host.executing_op_hash
    if hash_ is None:
        return whole(*args, **kwargs)
    (name,) = host.state.get_op_meta(hash_).names
    name = re.sub(" [0-9.]+$", "", name.removeprefix("gVisor | "))
    place = len([step for step, _ in seen if step == name])
    seen.append([name, None])
    if name in cuts and place == cuts[name][0]:
        gevent.spawn_later(cuts[name][1], cut_power)
        cuts.clear()
    began_s = monotonic()
    try:
        return whole(*args, **kwargs)
    finally:
        seen[-1][1] = monotonic() - began_s
        (directory / "steps").write_text(json.dumps(seen))


for what in ("run_shell_command", "put_file"):
    setattr(host.connector, what, partial(timed, getattr(host.connector, what)))
run_node()
"""


@dataclass
class Cuts:
    """One node that loses power, and which steps have to be cut yet."""

    fleet: Fleet
    directory: Path
    declared: dict[str, Any] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=count)
    took: dict[str, list[float]] = field(default_factory=dict)
    """The seconds of each command, by step."""
    tries: dict[str, int] = field(default_factory=dict)
    """How often each step that has not been cut ended without a cut."""

    @property
    def node(self) -> LabNode:
        return self.fleet.nodes[NAME]

    def declare(self, state: dict[str, Any]) -> None:
        """Change what is declared, and its release."""
        name = f"{FIRST_RELEASE + next(self.numbers)}.0"
        archive = release_archive(current_archive(), name, self.directory)
        self.declared = {
            "gvisor_release": name,
            "gvisor_source": str(archive),
            "gvisor_sha512": dict.fromkeys(CURRENT["gvisor_sha512"], sha512(archive)),
            **state,
            "gvisor_keep_releases": 1,
        }

    def run(self, cuts: dict[str, tuple[int, float]] | None = None) -> Outcome:
        """
        A run to what is declared.

        ``cuts``: for each step in which the power may be cut, in which of its commands and how many
        seconds after that begins. The first of these steps that the run comes to is cut.
        """
        for name in ("steps", "cut"):
            (self.directory / name).unlink(missing_ok=True)
        deploy = self.directory / "deploy.py"
        values = {"directory": str(self.directory), "cuts": cuts or {}}
        deploy.write_text(DEPLOY.format(pid=_first_process(self.node), **values))
        return self.fleet.run(NAME, data=self.declared, deploy=deploy)

    def runs_with_cuts(self) -> Iterator[str]:
        """Run until a run comes through; say before each next one where the power was cut."""
        where = self.directory / "cut"
        late: set[str] = set()
        while True:
            outcome = self.run({step: self._middle(step) for step in set(self.tries) - late})
            if where.exists() and self.tries.pop(where.read_text(), None) is not None:
                assert outcome.code != 0, outcome.text
            for step, took in self._seen().items():
                if step in self.tries and step not in late:  # it is over, and was not cut
                    self.tries[step], self.took[step] = self.tries[step] + 1, took
                    late.add(step)
            if not where.exists():
                assert outcome.code == 0, outcome.text
                return
            wait_until_off(self.node)
            self.node.start()
            yield where.read_text()

    def learn(self) -> None:
        """Bring the node to what is declared, and keep how long each command took."""
        outcome = self.run()
        assert outcome.code == 0, outcome.text
        for step, took in self._seen().items():
            if step not in self.took:
                self.took[step] = took
        self.tries = dict.fromkeys(steps_of_turn(sorted(self.took)), 0)

    def _seen(self) -> dict[str, list[float]]:
        """The steps of the last run with the seconds of each command."""
        found: dict[str, list[float]] = {}
        for step, took_s in json.loads((self.directory / "steps").read_text()):
            found.setdefault(step, []).append(took_s or 0.0)
        return found

    def _middle(self, step: str) -> tuple[int, float]:
        """Which of a step's commands took longest, and when to cut it."""
        took, tries = self.took[step], self.tries[step]
        if tries >= len(SHARES) - 1:
            return 0, 0.0
        return took.index(max(took)), max(took) * SHARES[tries]


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
        for state in (MANY, FEW):
            cuts.declare(state)
            cuts.learn()
            for name, runtime in APPS.items():
                if name not in processes(cuts.node):
                    start_container(cuts.node, name, *ALWAYS, f"--runtime={runtime}")
        yield cuts


@table("state", {"bring-parts": MANY, "take-them-away": FEW})
def test_power_cuts_in_the_middle_of_steps_leave_no_app_down_and_the_last_run_gets_there(
    cuts: Cuts, state: dict[str, Any]
) -> None:
    change_with_cuts(cuts, state)


def test_every_step_was_cut(cuts: Cuts) -> None:
    for _ in SHARES[1:]:
        for state in (MANY, FEW):
            if cuts.tries:
                change_with_cuts(cuts, state)

    assert cuts.took
    assert cuts.tries == {}


def change_with_cuts(cuts: Cuts, state: dict[str, Any]) -> None:
    """Change to a state with a cut in every step that has not been cut, and look at each."""
    node = cuts.node
    if node.state != "running":  # what a failed test has left
        node.start()
    cuts.declare(state)
    running = processes(node)

    for step in cuts.runs_with_cuts():
        assert node.exec("test", "-e", PENDING).code == 1, f"undone or finished at boot: {step}"
        for name in APPS:
            wait_for(node, f"docker exec {name} true", timeout_s=20)
        running = processes(node)

    second = cuts.run()
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
