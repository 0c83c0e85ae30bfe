"""pyinfra run on lab nodes as a user runs it, and what a node looks like before and after."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyinfra_gvisor.planning.absence import PROTECTIONS
from tests.loaded_pyinfra import LoadedPyinfra
from tests.node.repacked import repacked
from tools.lab import LabNode, chosen_runsc, tell_on_stderr
from tools.lab.cache import Cache
from tools.lab.runsc import SETTING

ROOT = Path(__file__).parent.parent.parent
DEPLOY = "deploys/gvisor.py"
TIMEOUT_S = 400
REMOVAL_S = 60
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
        return self.code == 0 and self.steps_changed == 0 and "No changes" in self.stderr

    @property
    def steps_changed(self) -> int:
        """How many operations changed something, on all hosts together."""
        said = self.stderr.partition("--> Results:")[0]
        return len(re.findall(r"\]\s+Success", said))  # pyinfra pads shorter names

    @property
    def errors(self) -> list[str]:
        """Return the lines with a problem of an operation or a setting."""
        return [line for line in self.stderr.splitlines() if "; " in line or "got" in line]


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

    def start(
        self, name: str, data: Mapping[str, Any], *, deploy: str = DEPLOY
    ) -> subprocess.Popen[str]:
        """Start a run on the node without waiting for it, in its own process group."""
        return subprocess.Popen(
            [sys.executable, "-m", "pyinfra", self._inventory([name], data, {}), deploy, "-y"],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
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


def must(node: LabNode, *command: str) -> str:
    """Run a command on a node, which must succeed; return its output."""
    ran = node.exec(*command)
    assert ran.code == 0, f"{command}\n{ran.stdout}{ran.stderr}"
    return ran.stdout


_LISTING = r"""
find /etc /opt /usr/local /root /home /srv /var/lib/pyinfra-gvisor /run/pyinfra-gvisor /var/tmp \
    /var/lib/apt /var/lib/dpkg -xdev ! -type d ! -name '*.lock' ! -name changes \
    -printf '%p %y %M %u %s %T@ %l\n' 2>/dev/null | sort
find /etc /opt /usr/local /root /home /srv /var/lib/pyinfra-gvisor /run/pyinfra-gvisor /var/tmp \
    -xdev -type d -printf '%p %M %u\n' 2>/dev/null | sort
ls -la /var/lib/docker/runtimes 2>/dev/null
docker ps -a --no-trunc --format '{{.ID}} {{.Names}} {{.State}}'
docker images -a --no-trunc --format '{{.ID}}' | sort
docker network ls --no-trunc --format '{{.ID}}'
docker volume ls -q
docker info --format \
    '{{json .Runtimes}} {{.LiveRestoreEnabled}} {{json .SecurityOptions}} {{.DefaultRuntime}}'
cat /run/docker.pid
"""


def snapshot(node: LabNode) -> str:
    """Return everything that a deploy could change on a node: files, containers, dockerd."""
    listing = node.exec("sh", "-c", _LISTING).stdout
    return f"{listing}\n{json.dumps(processes(node))}"


def processes(node: LabNode) -> dict[str, int]:
    """Return the pid of every running container, by name."""
    look = "docker ps -q | xargs -r docker inspect --format '{{.Name}} {{.State.Pid}};'"
    found = re.findall(r"/(\S+) (\d+);", node.exec("sh", "-c", look).stdout)
    return {name: int(pid) for name, pid in found}


_START = r"""
set -eu
if ! docker image inspect test:1 > /dev/null 2>&1; then
    mkdir -p /root/tree/proc /root/tree/sys /root/tree/dev /root/tree/tmp /root/tree/etc
    for link in bin lib lib64; do ln -sfn "usr/$link" "/root/tree/$link"; done
    tar -C /root/tree -c . | docker import - test:1 > /dev/null
    rm -rf /root/tree
fi
name=$1
shift
docker run -d --name "$name" -v /usr:/usr:ro "$@" test:1 sleep infinity > /dev/null
"""

_REMOVE = r"""
set -eu
containers=$(docker ps -aq --filter "name=$1")
printf '%s\n' $containers | xargs -r -n 1 -P 4 docker rm -f
"""


def start_container(node: LabNode, name: str, *options: str) -> None:
    """Start a container with the node's own programs; ``options`` are those of ``docker run``."""
    must(node, "sh", "-c", _START, "sh", name, *options)


def remove_container(node: LabNode, name: str) -> None:
    """Remove a container that a test started."""
    remove_containers(node, f"^/{name}$")


def remove_containers(node: LabNode, names: str) -> None:
    """
    Away with those whose names match the expression, or the test fails: the next would meet them.

    On a busy machine Docker may be told of an end too late ("did not receive an exit event").
    """
    tries = [node.exec("sh", "-c", _REMOVE, "sh", names)]
    until_s = time.monotonic() + REMOVAL_S
    while tries[-1].code != 0 and time.monotonic() < until_s:
        time.sleep(0.5)
        tries.append(node.exec("sh", "-c", _REMOVE, "sh", names))
    assert tries[-1].code == 0, tries


def daemon_json(node: LabNode) -> str:
    """Return the text of daemon.json."""
    return node.exec("cat", "/etc/docker/daemon.json").stdout


def docker_info(node: LabNode) -> dict[str, Any]:
    """Return the daemon's own information."""
    found: dict[str, Any] = json.loads(node.exec("docker", "info", "--format", "{{json .}}").stdout)
    return found


def no_leftovers(node: LabNode) -> str:
    """Return what a run must not leave, one line each; empty if all is clean."""
    look = (
        "ls -A /etc/docker | grep -v -e '^daemon.json$' -e '^key.json$';"
        "iptables-save | grep PYINFRA; nft list tables | grep held;"
        "find /etc/systemd/system -name 'pyinfra*' ! -name 'pyinfra-gvisor-scripts.*'"
        " ! -name 'pyinfra-gvisor-keeper.*';"
        "ls -A /opt/gvisor/releases 2>/dev/null | grep '^\\.';"
        "ls -A /var/lib/pyinfra-gvisor 2>/dev/null | grep -e '^\\.' -e '^pending';"
        "ls -A /var/lib/pyinfra-gvisor/generations 2>/dev/null | grep -v '^[0-9]*$';"
        "ls -A /run/pyinfra-gvisor 2>/dev/null | grep -v -e 'lock$' -e '^runtimes$'"
        " -e '^permits$' -e '^mounts$';"
        "find /run/pyinfra-gvisor/permits /run/pyinfra-gvisor/mounts -type f 2>/dev/null;"
        "docker ps -aq --filter label=pyinfra-gvisor.probe; docker images -q pyinfra-gvisor-probe;"
        "docker network ls -q --filter label=pyinfra-gvisor.probe; ls -A /var/tmp | grep pyinfra"
    )
    return node.exec("sh", "-c", look).stdout
