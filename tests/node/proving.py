"""A proof that is made on a node by itself, and a node whose runsc is something else."""

import ipaddress
import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from typing import Any

from pyinfra_gvisor.proof.every import proofs_of_parts
from tests.node.running import HOME, RELEASE, Fleet, Outcome
from tools.lab import LabNode

RUNSC = f"{HOME}/runsc"
OF_PARTS = {check.id for part in proofs_of_parts().values() for check in part.checks}
"""The checks that do not apply where no part is declared."""
REAL = "/root/runsc.real"
_STAT = "find . ! -type d ! -path ./manifest.json -printf '%P %y %m %U:%G %s %T@ %C@\\n'"

_DEPLOY = """
from pyinfra_gvisor.operations import docker, gvisor
from pyinfra_gvisor.runtimes.profiles import Runtime
from pyinfra_gvisor.runtimes.wrappers import wrappers
from pyinfra_gvisor.settings import load_settings

every = {{name: Runtime(**given) for name, given in {profiles!r}.items()}}
declared, _ = load_settings({{"gvisor_egress": {egress!r}}})
others = {{name: profile for name, profile in every.items() if name != "runsc"}}
if others:
    entries = {{item.runtime: {{"path": item.path}} for item in wrappers({release!r}, others)}}
    gvisor.runtimes({release!r}, profiles=others)
    docker.daemon_json(wanted={{"runtimes": entries}}, owner="prooftest")
gvisor.proof({release!r}, profiles=every, when="always", declared=declared, rows=True, **{named!r})
if others:
    docker.daemon_json(wanted={{}}, owner="prooftest")
"""


def prove(
    fleet: Fleet,
    name: str,
    *,
    profiles: dict[str, Any] | None = None,
    egress: dict[str, Any] | None = None,
    **named: Any,
) -> Outcome:
    """
    The proof and nothing else; with other runtimes than runsc these are there meanwhile.

    + egress: ``gvisor_egress``
    + named: what else ``gvisor.proof`` is given
    """
    path = fleet.directory / "prove.py"
    given = {"profiles": profiles or {"runsc": {}}, "egress": egress, "named": named}
    path.write_text(_DEPLOY.format(release=RELEASE, **given))
    return fleet.run(name, deploy=path, data={})


def rows(outcome: Outcome, runtime: str = "runsc", *, on: str = "") -> dict[str, str]:
    """The table's lines for a runtime by check; ``on``: of this node only."""
    lines = [
        line.split("] ", 1)[1]
        for line in outcome.stderr.splitlines()
        if f"  {runtime}  " in line and (f"[{on}] " if on else "] ") in line
    ]
    return {line.split()[0]: line for line in lines}


def whole_row(outcome: Outcome, check: str, runtime: str = "runsc") -> str:
    """The line of a check, and after it what continues below it."""
    first = rows(outcome, runtime)[check]
    lines = [line.partition("] ")[2] for line in outcome.stderr.splitlines()]
    below = lines[lines.index(first) + 1 :]
    more = takewhile(lambda line: line.startswith(" "), below)
    return " ".join((first, *(line.strip() for line in more)))


def keep_in_lab(node: LabNode) -> None:
    """Make connections that the control of a proof may open end at an unused address in the lab."""
    node.container.reload()
    (own,) = node.container.attrs["NetworkSettings"]["Networks"].values()
    lab = ipaddress.ip_network(f"{own['IPAddress']}/{own['IPPrefixLen']}", strict=False)
    for tried in ("169.254.169.254", "10.255.255.254", "192.0.2.1"):
        assert node.exec("ip", "route", "replace", tried, "via", str(lab[-2])).code == 0


@contextmanager
def impostor(node: LabNode, script: str) -> Iterator[None]:
    """A release whose runsc is a script."""
    node.put("/root/impostor", script.encode())
    with swapped(node, "cat /root/impostor"):
        yield
    node.exec("rm", "/root/impostor")


@contextmanager
def swapped(node: LabNode, command: str) -> Iterator[None]:
    """
    Install a release whose runsc prints the output of ``command``.

    It was so from the start: manifest, wrapper and daemon.json are as declared.
    """
    manifest = node.exec("cat", f"{HOME}/manifest.json").stdout
    swap = f"mv {RUNSC} {REAL} && {{ {command}; }} > {RUNSC} && chmod 755 {RUNSC}"
    assert node.exec("sh", "-c", swap).code == 0
    stat = node.exec("sh", "-c", f"cd {HOME} && {_STAT} | LC_ALL=C sort").stdout.splitlines()
    forged = json.dumps({**json.loads(manifest), "stat": stat})
    node.put(f"{HOME}/manifest.json", f"{forged}\n".encode())
    try:
        yield
    finally:
        node.exec("mv", REAL, RUNSC)
        node.put(f"{HOME}/manifest.json", manifest.encode())
