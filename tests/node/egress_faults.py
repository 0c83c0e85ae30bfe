"""Rules that stay on probation, since who loads them never gets to confirm them."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyinfra_gvisor.lab import LabNode
from tests.node.egress_nodes import RULES, TABLE, Ground
from tests.node.faults import wait_for

DENIED = "198.51.100.0/24"  # RFC 5737, TEST-NET-2
NEW: dict[str, Any] = {**RULES, "deny": [DENIED]}
CANDIDATE = "/opt/gvisor/egress/candidate.nft"
TIMER = "pyinfra-gvisor-egress-revert.timer"

_DEPLOY = """
import time

from pyinfra_gvisor.parts.egress import plan
from pyinfra_gvisor.parts.egress.settings import Egress
from pyinfra_gvisor.operations import egress, probation

whole, sent = plan.rules_text, probation.sent
plan.rules_text = lambda *given: whole(*given) + {more!r}


def waiting(operation, *names, **given):
    if "egress_confirm" in names and {waits}:
        time.sleep(600)
    return sent(operation, *names, **given)


probation.sent = waiting
egress.rules(wanted=Egress.model_validate({rules!r}))
"""


def deploy_file(
    ground: Ground, rules: Mapping[str, Any], *, more: str = "", waits: bool = False
) -> Path:
    """
    A deploy of the firewall alone.

    + more: what is written behind the rules' text
    + waits: whether it never comes to confirm them
    """
    path = ground.fleet.directory / "rules.py"
    path.write_text(_DEPLOY.format(more=more, waits=waits, rules=dict(rules)))
    return path


@contextmanager
def on_probation(ground: Ground, name: str, *, confirm_s: int) -> Iterator[subprocess.Popen[str]]:
    """Other rules are loaded; nobody confirms them, and their controller is killed in the end."""
    path = deploy_file(ground, {**NEW, "confirm_s": confirm_s}, waits=True)
    controller = ground.fleet.start(name, {}, deploy=str(path))
    try:
        wait_for(ground.nodes[name], f"nft list table {TABLE} | grep -q {DENIED}")
        yield controller
    finally:
        kill(controller)


def kill(controller: subprocess.Popen[str]) -> None:
    """As a controller ends whose power is cut."""
    if controller.poll() is None:
        os.killpg(controller.pid, signal.SIGKILL)
    controller.wait()


def pending(node: LabNode) -> list[str]:
    """What says that rules wait to be confirmed; nothing if none do."""
    there = node.exec("test", "-e", CANDIDATE).code == 0
    timer = node.exec("systemctl", "is-active", TIMER).stdout.strip()
    return [*([CANDIDATE] if there else []), *([TIMER] if timer == "active" else [])]
