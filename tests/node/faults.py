"""
What the fault suite shares: a change that stops at a step, and what must hold after any fault.

The change has a key that a reload applies and one that only a restart does, both shown by ``docker
info``: a daemon that has one of them new and the other old is seen. The file has no live-restore,
so that every restart has to bring it along and take it away again.
"""

import json
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from tests.loaded_pyinfra import Started
from tests.node.containers import must
from tests.node.running import Fleet, Outcome, idle_in_the_end
from tests.node.seeing import no_leftovers, processes
from tools.lab import LabNode

FILE = "/etc/docker/daemon.json"
PENDING = "/var/lib/pyinfra-gvisor/pending"
NUMBERS = count(1)
COLD_START = {"metrics-addr": "127.0.0.1:22"}  # sshd's port: no check knows, no dockerd starts

_DEPLOY = """
from pyinfra_gvisor.daemon_json import transaction
from pyinfra_gvisor.operations import docker

whole = transaction.script
hook = {hook!r}
transaction.script = lambda *names, **values: whole(*names, **values).replace(
    "\\nbegan=", "\\n" + hook + "began=", 1
)
docker.daemon_json(wanted={wanted!r}, owner="faults", wait_s=20, **{others!r})
"""
PAUSE = """
mode=${{1:-}}
step() {{
    say "$1" >> "$work/journal"
    if [ "$1" = '{step}' ] && [ -z "$mode" ]; then
        : > /run/at-step
        while [ -e /run/at-step ]; do sleep 0.05; done
    fi
}}
"""


Live = Mapping[str, Any]
"""How dockerd is configured, as far as it shows it."""


def reloading(before: Live) -> dict[str, Any]:
    """A change that a reload applies, another one at every call."""
    return {**_wanted(), "log-driver": before["log-driver"]}


def restarting(before: Live) -> dict[str, Any]:
    """A change that needs a restart, whatever is there before."""
    return {**_wanted(), "log-driver": "json-file" if before["log-driver"] == "local" else "local"}


def _wanted() -> dict[str, Any]:
    return {"labels": [f"run={next(NUMBERS)}"], "log-opts": {"max-size": "10m"}}


@dataclass
class Faults:
    """One node on which things go wrong."""

    fleet: Fleet
    name: str
    running: dict[str, int] = field(default_factory=dict)
    before: Live = field(default_factory=dict)

    @property
    def node(self) -> LabNode:
        return self.fleet.nodes[self.name]

    def remember(self) -> None:
        """Record what runs and how dockerd is configured before the fault."""
        if not self.before:
            first = self.run(reloading(live(self.node)))
            assert first.code == 0, first.text
        self.running, self.before = processes(self.node), live(self.node)

    def run(
        self, wanted: Mapping[str, Any], *, step: str = "", hook: str = "", **others: Any
    ) -> Outcome:
        """Run the change and wait for its end; ``others`` are arguments of the operation."""
        deploy = self._deploy(wanted, step, hook, others)
        return self.fleet.run(self.name, deploy=deploy, data={})

    def start(
        self, wanted: Mapping[str, Any], *, step: str = "", hook: str = "", **others: Any
    ) -> Started:
        """Start the change; with ``step`` it stops before this step."""
        deploy = self._deploy(wanted, step, hook, others)
        controller = self.fleet.start(self.name, {}, deploy=deploy)
        if step:
            wait_for(self.node, "test -e /run/at-step")
        return controller

    def go_on(self) -> None:
        """Let the stopped change continue."""
        self.node.exec("rm", "-f", "/run/at-step")

    def cut_power(self, controller: Started) -> None:
        """Cut the node's power and boot again; its controller is gone with it."""
        self.node.kill()
        self.node.start()
        kill(controller)

    def _deploy(
        self, wanted: Mapping[str, Any], step: str, hook: str, others: Mapping[str, Any]
    ) -> str:
        path = self.fleet.directory / f"faults-{next(NUMBERS)}.py"
        pause = PAUSE.format(step=step) if step else ""
        given = {"timeout_s": 30, **others}
        path.write_text(_DEPLOY.format(hook=pause + hook, wanted=wanted, others=given))
        return str(path)

    def assert_sound(self, wanted: Mapping[str, Any], *, lost: tuple[str, ...] = ()) -> None:
        """
        Check everything that must hold after a fault.

        ``lost``: containers that the fault itself has ended, such as a power cut.
        """
        node = self.node
        keep = {} if node.exec("test", "-e", PENDING).code else {"live-restore": False}
        found = {**live(node), **keep}  # a change that is not over may have it on
        assert found in (self.before, after(wanted, self.before)), "a mix of old and new"
        kept = {name: pid for name, pid in self.running.items() if name not in lost}
        now = processes(node)
        assert {name: now.get(name) for name in kept} == kept
        for name in kept:  # where containerd was killed, exec fails for some seconds
            wait_for(node, f"docker exec {name} true", timeout_s=20)
        idle_in_the_end(lambda: self.run(wanted))
        assert live(node) == after(wanted, self.before)
        assert no_leftovers(node) == ""
        now = processes(node)
        assert {name: now.get(name) for name in kept} == kept


def live(node: LabNode) -> dict[str, Any]:
    """Return dockerd's configuration, as far as it shows it."""
    form = "[{{json .Labels}},{{json .LoggingDriver}},{{json .LiveRestoreEnabled}}]"
    labels, driver, live_restore = json.loads(must(node, "docker", "info", "--format", form))
    return {"labels": labels or [], "log-driver": driver, "live-restore": live_restore}


def kill(controller: Started) -> None:
    """Kill a controller as a power cut does."""
    if controller.poll() is None:
        os.killpg(controller.pid, signal.SIGKILL)
    controller.wait()


def after(wanted: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return dockerd's configuration once the change is applied."""
    return {**before, **{key: wanted[key] for key in before.keys() & wanted.keys()}}


def wait_for(node: LabNode, condition: str, *, timeout_s: float = 60) -> None:
    """Wait until a shell command in the node succeeds. Who looks all the time waits longer."""
    started = time.monotonic()
    while (ran := node.exec("sh", "-c", condition)).code != 0:
        waited_s = time.monotonic() - started
        assert waited_s < timeout_s, f"{condition}\n{ran.stdout}{ran.stderr}"
        time.sleep(min(0.05 + waited_s / 4, 0.5))
