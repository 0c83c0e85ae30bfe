"""pyinfra run on lab nodes as a user runs it."""

# ruff: noqa: F401 - what a node looks like is taken from here, too

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyinfra_gvisor.planning.absence import PROTECTIONS
from tests.loaded_pyinfra import LoadedPyinfra, Started
from tests.node.containers import remove_containers
from tests.node.repacked import repacked
from tests.node.seeing import daemon_json, docker_info, no_leftovers, processes, snapshot
from tools.lab import LabNode, chosen_runsc, tell_on_stderr
from tools.lab.cache import Cache
from tools.lab.runsc import SETTING

ROOT = Path(__file__).parent.parent.parent
DEPLOY = "deploys/gvisor.py"
TIMEOUT_S = 400
WITH_ROWS = ("-y", "--data", "gvisor_proof_rows=True")  # shows each check of a proof

_CACHE = Cache.of(os.environ)
# A test takes no other in its place.
_RUNSC = {**os.environ, SETTING: os.environ.get(SETTING) or "build"}
OFF: dict[str, Any] = {
    **{f"gvisor_{row.key}": ast.literal_eval(row.off) for row in PROTECTIONS},
    "gvisor_proof": "never",
    "gvisor_runtimes": {"runsc": {}},
}
"""The settings after which a node has nothing that an earlier test declared."""

RELEASED: dict[str, Any] = {
    **OFF,
    **chosen_runsc(_RUNSC, lab="gvisor-test", cache=_CACHE, tell=tell_on_stderr).settings,
}
"""The settings that name today's runsc as it is released, and nothing else."""

CURRENT: dict[str, Any] = repacked(RELEASED, _CACHE)
"""The same in another archive, which every test takes that does not say why not."""

PROVEN: dict[str, Any] = {**CURRENT, "gvisor_proof": "changed"}
"""The same with a proof, which has tests of its own, and takes most of such a run."""

_LOADED = LoadedPyinfra(ROOT)

RELEASE = str(CURRENT["gvisor_release"])
HOME = f"/opt/gvisor/releases/{RELEASE}"
SENTRY = f"{HOME}/gvisor-bin/gvisor_sentry"
"""The program of its sandboxes."""


@dataclass(frozen=True)
class Outcome:
    """How a run of pyinfra ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        """Return its whole output."""
        return self.stdout + self.stderr

    @property
    def idle(self) -> bool:
        """Return True if the run succeeded and found nothing to do."""
        ran_nothing = re.search(r"Grand total(?: +-){4}", self.stderr)
        left_all = ran_nothing or "No changes" in self.stderr
        return self.code == 0 and self.steps_changed == 0 and bool(left_all)

    @property
    def steps_changed(self) -> int:
        """How many operations changed something, on all hosts together."""
        said = self.stderr.partition("--> Results:")[0]
        return len(re.findall(r"\]\s+Success", said))  # pyinfra pads shorter names

    @property
    def errors(self) -> list[str]:
        """Return the lines with a problem of an operation or a setting."""
        return [line for line in self.stderr.splitlines() if "; " in line or "got" in line]


def idle_in_the_end(run: Callable[[], Outcome]) -> None:
    """Check that a run finds nothing to do, or does it well, and the next one finds nothing."""
    first = run()
    assert first.code == 0, first.text
    if not first.idle:
        second = run()
        assert second.idle, second.text


@dataclass(frozen=True)
class Fleet:
    """Some nodes, by the names that the tests give them."""

    nodes: Mapping[str, LabNode]
    directory: Path
    timeout_s: int = TIMEOUT_S

    def run(
        self,
        *names: str,
        flags: tuple[str, ...] = ("-y",),
        deploy: str | Path = DEPLOY,
        data: Mapping[str, Any] | None = None,
        by_host: Mapping[str, Mapping[str, Any]] | None = None,
        groups: Mapping[str, Iterable[str]] | None = None,
        unloaded: bool = False,
    ) -> Outcome:
        """
        One run on the nodes called ``names``.

        ``unloaded``: in a new process, as a user has it, where sets have another order.

        ``data`` are settings for all of them, ``by_host`` for single ones; without either they are
        those for today's runsc. ``groups``: names by group, all in the group ``run`` without.
        """
        settings = CURRENT if data is None else data
        inventory = self._inventory(names, settings, by_host or {}, groups)
        run = pyinfra_unloaded if unloaded else pyinfra
        return run(inventory, str(deploy), *flags, timeout_s=self.timeout_s)

    def deploy(self, *names: str, **given: Any) -> Outcome:
        """Run a deploy, which must succeed."""
        outcome = self.run(*names, **given)
        assert outcome.code == 0, outcome.text
        return outcome

    def start(self, name: str, data: Mapping[str, Any], *, deploy: str = DEPLOY) -> Started:
        """Start a run on the node without waiting for it, in its own process group."""
        inventory = self._inventory([name], data, {})
        return _LOADED.start([inventory, deploy, "-y"], {**os.environ, "PYINFRA_PROGRESS": "off"})

    def accept(
        self,
        names: Iterable[str],
        things: Iterable[str],
        data: Mapping[str, Any],
        by_host: Mapping[str, Mapping[str, Any]],
        *,
        reason: str,
    ) -> subprocess.CompletedProcess[str]:
        """Accept images or containers with the command."""
        inventory = self._inventory(names, data, by_host)
        given = ("--inventory", inventory, "-y", "--reason", reason, *things)
        return subprocess.run(
            [sys.executable, "-m", "pyinfra_gvisor.command", "accept", *given],
            cwd=ROOT,
            env={**os.environ, "PYINFRA_PROGRESS": "off"},
            capture_output=True,
            text=True,
            timeout=self.timeout_s,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def _inventory(
        self,
        names: Iterable[str],
        settings: Mapping[str, Any],
        by_host: Mapping[str, Mapping[str, Any]],
        groups: Mapping[str, Iterable[str]] | None = None,
    ) -> str:
        hosts = {
            name: (
                name,
                {
                    **self.nodes[name].host_data(),
                    "_sudo": True,
                    **settings,
                    **by_host.get(name, {}),
                },
            )
            for name in names
        }
        lists = {
            group: [hosts[name] for name in members]
            for group, members in (groups or {"run": list(hosts)}).items()
        }
        inventory = self.directory / "fleet.py"
        inventory.write_text("".join(f"{group} = {list_!r}\n" for group, list_ in lists.items()))
        return str(inventory)


@dataclass(frozen=True)
class Deployed:
    """
    Nodes by their names, and how pyinfra is run on them: without a proof.

    + shared: settings of every run
    + known: nodes in a state that tests begin with
    """

    nodes: Mapping[str, LabNode]
    fleet: Fleet
    shared: Mapping[str, Any] = field(default_factory=dict)
    known: set[str] = field(default_factory=set, repr=False)

    def run(
        self, *names: str, deploy: str = DEPLOY, flags: tuple[str, ...] = ("-y",), **others: Any
    ) -> Outcome:
        """Run a deploy; ``others`` are settings without their prefix."""
        given = {f"gvisor_{key}": value for key, value in others.items()}
        data = {**CURRENT, **self.shared, **given}
        return self.fleet.run(*names, deploy=deploy, flags=flags, data=data)

    def deploy(self, *names: str, **others: Any) -> Outcome:
        """Run a deploy, which must succeed."""
        outcome = self.run(*names, **others)
        assert outcome.code == 0, outcome.text
        return outcome


def pyinfra(*arguments: str, timeout_s: int = TIMEOUT_S) -> Outcome:
    """The pyinfra beside this Python, started in the checkout."""
    environment = {**os.environ, "PYINFRA_PROGRESS": "off"}
    return Outcome(*_LOADED.run(arguments, environment, timeout_s=timeout_s))


def pyinfra_unloaded(*arguments: str, timeout_s: int = TIMEOUT_S) -> Outcome:
    """The same from a process that has nothing loaded."""
    ran = subprocess.run(
        [sys.executable, "-m", "pyinfra", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYINFRA_PROGRESS": "off"},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return Outcome(ran.returncode, ran.stdout, ran.stderr)
